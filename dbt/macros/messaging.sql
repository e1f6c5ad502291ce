{# A phone number in one spelling: digits, without the 1 in front of ten of them. #}
{% macro phone(column) %}
    {%- set digits = "regexp_replace(" ~ column ~ ", '[^0-9]', '', 'g')" -%}
    case
        when length({{ digits }}) = 11 and left({{ digits }}, 1) = '1' then right({{ digits }}, 10)
        else nullif({{ digits }}, '')
    end
{%- endmacro %}

{# What a vendor's word says about a direction; null where it says nothing. #}
{% macro direction(word) %}
    case
        when lower(trim({{ word }})) in ('inbound', 'incoming', 'received', 'from') then 'inbound'
        when lower(trim({{ word }})) in ('outbound', 'outgoing', 'sent', 'to') then 'outbound'
    end
{%- endmacro %}

{# Business minutes from the calendar's first day to a time, on the time's own day. #}
{% macro business_minutes(calendar, time) %}
    {{ calendar }}.minutes_before + case
        when {{ calendar }}.opens_at < {{ time }}
            then {{ medchat_swell.minutes_between(calendar ~ '.opens_at', 'least(' ~ time ~ ', ' ~ calendar ~ '.closes_at)') }}
        else 0
    end
{%- endmacro %}

{# Minutes after midnight, of "08:30". #}
{% macro minute_of_day(text) %}
    {%- set parts = text.strip().split(':') -%}
    {{- return(parts[0] | int * 60 + parts[1] | int) -}}
{% endmacro %}

{# Time zone, business hours and days off of each location that has its own; '' is all others. #}
{% macro schedules() %}
    {%- set others = {
        'timezone': var('medchat_swell_timezone'),
        'business_hours': var('medchat_swell_business_hours'),
        'days_off': var('medchat_swell_days_off'),
    } -%}
    {%- set found = {'': others} -%}
    {%- for location, own in var('medchat_swell_location_hours').items() -%}
        {%- for name in own if name not in others -%}
            {{ exceptions.raise_compiler_error("medchat_swell_location_hours: '" ~ name ~ "' is none of " ~ others | join(', ')) }}
        {%- endfor -%}
        {%- do found.update({location: dict(others, **own)}) -%}
    {%- endfor -%}
    {{- return(found) -}}
{% endmacro %}

{# Which of the schedules a location has. #}
{% macro schedule_of(location) %}
    case when {{ location }} in ('{{ medchat_swell.schedules() | join("', '") }}') then {{ location }} else '' end
{%- endmacro %}

{# The time zone of a location. #}
{% macro timezone_of(location) %}
    {%- set schedules = medchat_swell.schedules() -%}
    case {{ medchat_swell.schedule_of(location) }}
        {%- for id, own in schedules.items() %} when '{{ id }}' then '{{ own.timezone }}'{% endfor %} end
{%- endmacro %}
