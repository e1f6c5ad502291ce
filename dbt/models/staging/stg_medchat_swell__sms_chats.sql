{%- set stream = medchat_swell.stream('sms_chats') -%}

with ranked as (
    select
        {{ medchat_swell.column(stream, 'account_name') }} as account_name,
        {{ medchat_swell.column(stream, 'id') }} as chat_id,
        {{ medchat_swell.column(stream, 'created_date_time', 'timestamp') }} as created_at,
        {{ medchat_swell.year_of(stream, 'created_date_time') }} as created_year,
        {{ medchat_swell.column(stream, 'status') }} as status,
        {{ medchat_swell.column(stream, 'name') }} as patient_name,
        {{ medchat_swell.column(stream, 'name_pseudonym') }} as patient_name_pseudonym,
        {{ medchat_swell.column(stream, 'user_phone_number') }} as user_phone,
        {{ medchat_swell.column(stream, 'user_phone_number_pseudonym') }} as user_phone_pseudonym,
        {{ medchat_swell.copy_number(stream, ['account_name', 'id']) }} as copy_number
    from {{ medchat_swell.rows_of(stream) }}
)

select
    account_name,
    chat_id,
    created_at,
    created_year,
    status,
    patient_name,
    patient_name_pseudonym,
    user_phone,
    user_phone_pseudonym
from ranked
where copy_number = 1
