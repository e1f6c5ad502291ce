{%- set places = 'account_name, vendor, location_id' -%}

with messages as (
    select * from {{ ref('medchat_swell__messages') }}
    where sent_on is not null and not is_scheduled
),

waits as (
    select * from {{ ref('medchat_swell__response_times') }}
),

spans as (
    select
        {{ places }},
        min(sent_on) as first_day,
        cast({{ medchat_swell.to_local(medchat_swell.as_of(), medchat_swell.timezone_of('location_id')) }} as date) as last_day
    from messages
    group by {{ places }}
),

days as (
    select
        {{ places }},
        {{ medchat_swell.days_between('first_day', 'last_day') }} as day
    from spans
),

sent as (
    select
        {{ places }},
        sent_on as day,
        count(*) filter (where direction = 'inbound') as inbound_messages,
        count(*) filter (where direction = 'outbound') as outbound_messages,
        count(*) filter (where is_automated) as automated_messages,
        count(*) filter (where direction = 'outbound' and is_automated is not null) as messages_known
    from messages
    group by {{ places }}, sent_on
),

started as (
    select
        {{ places }},
        started_on as day,
        count(*) as waits_started,
        count(*) filter (where outcome = 'answered') as waits_answered,
        count(*) filter (where outcome <> 'closed') as waits_open_or_answered,
        count(*) filter (where waited_minutes > 60) as waits_over_1_hour,
        count(*) filter (where waited_business_minutes > 480) as waits_over_8_business_hours,
        {{ medchat_swell.percentile(0.5, 'response_minutes') }} as median_response_minutes,
        {{ medchat_swell.percentile(0.9, 'response_minutes') }} as p90_response_minutes
    from waits
    group by {{ places }}, started_on
),

ended as (
    select
        {{ places }},
        replied_on as day,
        count(*) as waits_ended
    from waits
    where outcome = 'answered'
    group by {{ places }}, replied_on
),

consent as (
    select
        {{ places }},
        occurred_on as day,
        count(*) filter (where event = 'opt_out') as opt_outs,
        count(*) filter (where event = 'opt_in') as opt_ins
    from {{ ref('medchat_swell__consent_events') }}
    group by {{ places }}, occurred_on
),

names as (
    select
        {{ places }},
        location_name,
        row_number() over (partition by {{ places }} order by sent_at desc, tie_order desc) as place
    from messages
)

select
    {{ medchat_swell.surrogate_key(['days.account_name', 'days.vendor', 'days.location_id', 'days.day']) }} as daily_key,
    days.account_name,
    days.vendor,
    days.location_id,
    names.location_name,
    days.day,
    coalesce(sent.inbound_messages, 0) as inbound_messages,
    coalesce(sent.outbound_messages, 0) as outbound_messages,
    coalesce(sent.automated_messages, 0) as automated_messages,
    cast(sent.automated_messages as double precision) / nullif(sent.messages_known, 0) as automated_share,
    coalesce(started.waits_started, 0) as waits_started,
    coalesce(started.waits_answered, 0) as waits_answered,
    started.median_response_minutes,
    started.p90_response_minutes,
    cast(started.waits_over_1_hour as double precision)
    / nullif(started.waits_open_or_answered, 0) as share_over_1_hour,
    cast(started.waits_over_8_business_hours as double precision)
    / nullif(started.waits_open_or_answered, 0) as share_over_8_business_hours,
    cast(
        sum(coalesce(started.waits_open_or_answered, 0) - coalesce(ended.waits_ended, 0)) over (
            partition by days.account_name, days.vendor, days.location_id order by days.day
        ) as bigint
    ) as open_at_end_of_day,
    coalesce(consent.opt_outs, 0) as opt_outs,
    coalesce(consent.opt_ins, 0) as opt_ins
from days
{% for facts in ['sent', 'started', 'ended', 'consent'] -%}
    left join {{ facts }}
        on
            days.account_name = {{ facts }}.account_name
            and days.vendor = {{ facts }}.vendor
            and days.location_id is not distinct from {{ facts }}.location_id
            and days.day = {{ facts }}.day
{% endfor -%}
left join names
    on
        days.account_name = names.account_name
        and days.vendor = names.vendor
        and days.location_id is not distinct from names.location_id
        and names.place = 1
