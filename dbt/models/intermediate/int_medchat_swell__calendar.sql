{%- set weekdays = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] -%}
{%- set schedules = medchat_swell.schedules() -%}

with bounds as (
    select
        min(sent_on) as first_day,
        cast({{ medchat_swell.as_of() }} as date) + 1 as last_day
    from {{ ref('medchat_swell__messages') }}
),

days as (
    select {{ medchat_swell.days_between('first_day', 'last_day') }} as day
    from bounds
),

minutes as (
    {% for id, own in schedules.items() -%}
        {%- set hours = own.business_hours -%}
        {%- for day in hours if day not in weekdays -%}
            {{ exceptions.raise_compiler_error("medchat_swell: business hours of '" ~ day ~ "', which is no weekday; use " ~ weekdays | join(', ')) }}
        {%- endfor -%}
        select
            day,
            '{{ id }}' as schedule,
            '{{ own.timezone }}' as zone,
            case
                {% for date in own.days_off -%}
                    when day = cast('{{ date }}' as date) then null
                {% endfor -%}
                {% for weekday in weekdays if weekday in hours -%}
                    when extract(isodow from day) = {{ weekdays.index(weekday) + 1 }}
                        then {{ medchat_swell.minute_of_day(hours[weekday].split('-')[0]) }}
                {% endfor -%}
                when 1 = 0 then 0
            end as opens,
            case
                {% for weekday in weekdays if weekday in hours -%}
                    when extract(isodow from day) = {{ weekdays.index(weekday) + 1 }}
                        then {{ medchat_swell.minute_of_day(hours[weekday].split('-')[1]) }}
                {% endfor -%}
                when 1 = 0 then 0
            end as closes
        from days
        {{ 'union all' if not loop.last }}
    {% endfor -%}
),

hours as (
    select
        day,
        schedule,
        {{ medchat_swell.to_utc("(cast(day as timestamp) + opens * interval '1 minute')", 'zone') }} as opens_at,
        case
            when opens is not null
                then {{ medchat_swell.to_utc("(cast(day as timestamp) + closes * interval '1 minute')", 'zone') }}
        end as closes_at
    from minutes
)

select
    {{ medchat_swell.surrogate_key(['schedule', 'day']) }} as calendar_key,
    schedule,
    day,
    opens_at,
    closes_at,
    coalesce(
        sum({{ medchat_swell.minutes_between('opens_at', 'closes_at') }}) over (
            partition by schedule order by day rows between unbounded preceding and 1 preceding
        ),
        0
    ) as minutes_before
from hours
