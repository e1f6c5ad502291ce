{%- set stream = medchat_swell.stream('sms_messages') -%}

with ranked as (
    select
        {{ medchat_swell.column(stream, 'account_name') }} as account_name,
        {{ medchat_swell.column(stream, 'id') }} as message_id,
        {{ medchat_swell.column(stream, 'sms_chat_id') }} as chat_id,
        {{ medchat_swell.column(stream, 'created_date_time', 'timestamp') }} as created_at,
        {{ medchat_swell.year_of(stream, 'created_date_time') }} as created_year,
        {{ medchat_swell.column(stream, 'text') }} as body,
        {{ medchat_swell.column(stream, 'text_length', 'integer') }} as text_length,
        {{ medchat_swell.column(stream, 'has_link', 'boolean') }} as has_link,
        {{ medchat_swell.column(stream, 'opt_out_keyword') }} as opt_out_keyword,
        {{ medchat_swell.column(stream, 'opt_in_keyword') }} as opt_in_keyword,
        {{ medchat_swell.column(stream, 'opt_out_likely', 'boolean') }} as opt_out_likely,
        {{ medchat_swell.column(stream, 'direction') }} as vendor_direction,
        {{ medchat_swell.column(stream, 'status') }} as status,
        {{ medchat_swell.column(stream, 'name') }} as sender_name,
        {{ medchat_swell.column(stream, 'name_pseudonym') }} as sender_name_pseudonym,
        {{ medchat_swell.column(stream, 'sender_phone_number') }} as sender_phone,
        {{ medchat_swell.column(stream, 'sender_phone_number_pseudonym') }} as sender_phone_pseudonym,
        {{ medchat_swell.column(stream, 'recipient_phone_number') }} as recipient_phone,
        {{ medchat_swell.column(stream, 'recipient_phone_number_pseudonym') }} as recipient_phone_pseudonym,
        {{ medchat_swell.copy_number(stream, ['account_name', 'id']) }} as copy_number
    from {{ medchat_swell.rows_of(stream) }}
)

select
    account_name,
    message_id,
    chat_id,
    created_at,
    created_year,
    body,
    text_length,
    has_link,
    opt_out_keyword,
    opt_in_keyword,
    opt_out_likely,
    vendor_direction,
    status,
    sender_name,
    sender_name_pseudonym,
    sender_phone,
    sender_phone_pseudonym,
    recipient_phone,
    recipient_phone_pseudonym
from ranked
where copy_number = 1
