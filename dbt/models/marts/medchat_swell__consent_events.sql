with messages as (
    select
        *,
        case
            when opt_out_keyword is not null then 'opt_out'
            when opt_in_keyword is not null then 'opt_in'
            when opt_out_likely then 'opt_out_likely'
        end as event
    from {{ ref('medchat_swell__messages') }}
    where direction = 'inbound'
),

events as (
    select
        *,
        case event when 'opt_out' then 'opted_out' when 'opt_in' then 'opted_in' end as new_state
    from messages
    where event is not null and (sent_at is null or not is_scheduled)
),

ordered as (
    select
        *,
        row_number() over (partition by account_name, contact_key order by sent_at, tie_order) as place,
        row_number() over (
            partition by account_name, contact_key, new_state is null order by sent_at desc nulls last, tie_order desc
        ) as place_from_last,
        row_number() over (
            partition by account_name, vendor, contact_key, new_state is null
            order by sent_at desc nulls last, tie_order desc
        ) as place_from_last_at_vendor
    from events
)

select
    message_key,
    account_name,
    vendor,
    contact_key,
    contact_phone,
    contact_pseudonym,
    event,
    coalesce(opt_out_keyword, opt_in_keyword) as keyword,
    sent_at as occurred_at,
    sent_at_local as occurred_at_local,
    sent_on as occurred_on,
    sent_year as occurred_year,
    location_id,
    location_name,
    case when sent_at is not null and contact_key is not null then place end as event_number,
    case
        when sent_at is not null and contact_key is not null
            then new_state is not null and place_from_last = 1
    end as is_current,
    case
        when sent_at is not null and contact_key is not null
            then max(case when place_from_last = 1 then new_state end) over (
                partition by account_name, contact_key
            )
    end as current_state,
    case
        when sent_at is not null and contact_key is not null
            then max(case when place_from_last_at_vendor = 1 then new_state end) over (
                partition by account_name, vendor, contact_key
            )
    end as current_state_at_vendor
from ordered
