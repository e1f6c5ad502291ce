with waits as (
    select
        *,
        case outcome
            when 'answered' then replied_at
            when 'open' then {{ medchat_swell.as_of() }}
        end as waited_until,
        {{ medchat_swell.schedule_of('location_id') }} as schedule
    from {{ ref('int_medchat_swell__waits') }}
),

dated as (
    select
        *,
        cast({{ medchat_swell.to_local('waited_until', medchat_swell.timezone_of('location_id')) }} as date) as waited_until_on
    from waits
),

measured as (
    select
        dated.*,
        {{ medchat_swell.minutes_between('dated.started_at', 'dated.waited_until') }} as waited_minutes,
        {{ medchat_swell.business_minutes('last_days', 'dated.waited_until') }}
        - ({{ medchat_swell.business_minutes('first_days', 'dated.started_at') }}) as waited_business_minutes,
        coalesce(
            dated.started_at < first_days.opens_at or dated.started_at >= first_days.closes_at, true
        ) as is_after_hours
    from dated
    left join {{ ref('int_medchat_swell__calendar') }} as first_days
        on dated.started_on = first_days.day and dated.schedule = first_days.schedule
    left join {{ ref('int_medchat_swell__calendar') }} as last_days
        on dated.waited_until_on = last_days.day and dated.schedule = last_days.schedule
)

select
    message_key,
    account_name,
    vendor,
    thread_id,
    line_key,
    contact_key,
    location_id,
    location_name,
    started_at,
    started_at_local,
    started_on,
    is_after_hours,
    opt_out_keyword,
    inbound_messages,
    outcome,
    reply_message_key,
    replied_at,
    replied_on,
    case when outcome = 'answered' then waited_minutes end as response_minutes,
    case when outcome = 'answered' then waited_business_minutes end as response_business_minutes,
    waited_minutes,
    waited_business_minutes
from measured
