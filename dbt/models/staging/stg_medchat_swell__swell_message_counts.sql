{%- set stream = medchat_swell.stream('swell_message_counts') -%}

with ranked as (
    select
        {{ medchat_swell.column(stream, 'account_name') }} as account_name,
        {{ medchat_swell.surrogate_key([
            medchat_swell.column(stream, 'account_name'), medchat_swell.column(stream, 'date'),
            medchat_swell.column(stream, 'location_id'), medchat_swell.column(stream, 'team_id'),
        ]) }} as count_key,
        {{ 'cast(null as date)' if 'date_year' in stream.columns else medchat_swell.column(stream, 'date', 'date') }} as day,
        {{ medchat_swell.year_of(stream, 'date') }} as year,
        {{ medchat_swell.column(stream, 'location_id') }} as location_id,
        {{ medchat_swell.column(stream, 'team_id') }} as team_id,
        {{ medchat_swell.column(stream, 'received', 'integer') }} as received,
        {{ medchat_swell.column(stream, 'sent', 'integer') }} as sent,
        {{ medchat_swell.copy_number(stream, ['account_name', 'date', 'location_id', 'team_id']) }} as copy_number
    from {{ medchat_swell.rows_of(stream) }}
)

select
    account_name,
    count_key,
    day,
    year,
    location_id,
    team_id,
    received,
    sent
from ranked
where copy_number = 1
