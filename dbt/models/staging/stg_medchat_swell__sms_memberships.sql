{%- set stream = medchat_swell.stream('sms_memberships') -%}

with ranked as (
    select
        {{ medchat_swell.column(stream, 'account_name') }} as account_name,
        {{ medchat_swell.column(stream, 'id') }} as membership_id,
        {{ medchat_swell.column(stream, 'sms_chat_id') }} as chat_id,
        {{ medchat_swell.column(stream, 'created_date_time', 'timestamp') }} as created_at,
        {{ medchat_swell.year_of(stream, 'created_date_time') }} as created_year,
        {{ medchat_swell.column(stream, 'user_id') }} as user_id,
        {{ medchat_swell.column(stream, 'name') }} as member_name,
        {{ medchat_swell.column(stream, 'name_pseudonym') }} as member_name_pseudonym,
        {{ medchat_swell.copy_number(stream, ['account_name', 'id']) }} as copy_number
    from {{ medchat_swell.rows_of(stream) }}
)

select
    account_name,
    membership_id,
    chat_id,
    created_at,
    created_year,
    user_id,
    member_name,
    member_name_pseudonym
from ranked
where copy_number = 1
