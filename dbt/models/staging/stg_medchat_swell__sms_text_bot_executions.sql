{%- set stream = medchat_swell.stream('sms_text_bot_executions') -%}

with ranked as (
    select
        {{ medchat_swell.column(stream, 'account_name') }} as account_name,
        {{ medchat_swell.column(stream, 'id') }} as execution_id,
        {{ medchat_swell.column(stream, 'sms_chat_id') }} as chat_id,
        {{ medchat_swell.column(stream, 'created_date_time', 'timestamp') }} as created_at,
        {{ medchat_swell.year_of(stream, 'created_date_time') }} as created_year,
        {{ medchat_swell.column(stream, 'text_bot_id') }} as text_bot_id,
        {{ medchat_swell.column(stream, 'status') }} as status,
        {{ medchat_swell.column(stream, 'name') }} as recipient_name,
        {{ medchat_swell.column(stream, 'name_pseudonym') }} as recipient_name_pseudonym,
        {{ medchat_swell.column(stream, 'sender_phone_number') }} as sender_phone,
        {{ medchat_swell.column(stream, 'sender_phone_number_pseudonym') }} as sender_phone_pseudonym,
        {{ medchat_swell.column(stream, 'recipient_phone_number') }} as recipient_phone,
        {{ medchat_swell.column(stream, 'recipient_phone_number_pseudonym') }} as recipient_phone_pseudonym,
        {{ medchat_swell.copy_number(stream, ['account_name', 'id']) }} as copy_number
    from {{ medchat_swell.rows_of(stream) }}
)

select
    account_name,
    execution_id,
    chat_id,
    created_at,
    created_year,
    text_bot_id,
    status,
    recipient_name,
    recipient_name_pseudonym,
    sender_phone,
    sender_phone_pseudonym,
    recipient_phone,
    recipient_phone_pseudonym
from ranked
where copy_number = 1
