{%- set names = var('medchat_swell_locations') -%}

with messages as (
    select * from {{ ref('int_medchat_swell__medchat_messages') }}
    union all
    select * from {{ ref('int_medchat_swell__swell_messages') }}
),

lines as (
    select
        *,
        {{ medchat_swell.surrogate_key(['account_name', 'vendor', 'message_id']) }} as message_key,
        {{ medchat_swell.surrogate_key(['account_name', 'vendor', 'coalesce(chat_id, contact_key)']) }} as line,
        coalesce(chat_id, contact_key) is not null as has_line
    from messages
),

gaps as (
    select
        *,
        case
            when has_line then line
            when sent_at is not null then message_key
        end as line_key,
        lag(sent_at) over (partition by line, has_line order by sent_at, tie_order) as previous_sent_at
    from lines
),

sessions as (
    select
        *,
        sum(
            case
                when sent_at <= previous_sent_at + {{ var('medchat_swell_session_gap_hours') }} * interval '1 hour'
                    then 0
                else 1
            end
        ) over (partition by line_key order by sent_at, tie_order rows unbounded preceding) as session_number
    from gaps
)

select
    message_key,
    account_name,
    vendor,
    message_id,
    case
        when vendor = 'medchat' then chat_id
        when sent_at is not null
            then first_value(message_key) over (
                partition by line_key, session_number order by sent_at, tie_order
            )
    end as thread_id,
    line_key,
    contact_key,
    contact_phone,
    contact_pseudonym,
    direction,
    sent_at,
    {{ medchat_swell.to_local('sent_at', medchat_swell.timezone_of('location_id')) }} as sent_at_local,
    cast({{ medchat_swell.to_local('sent_at', medchat_swell.timezone_of('location_id')) }} as date) as sent_on,
    sent_year,
    created_at,
    sent_at > {{ medchat_swell.as_of() }} as is_scheduled,
    is_automated,
    case
        when direction = 'outbound'
            then coalesce(lower(status) in {{ medchat_swell.words(var('medchat_swell_failed_statuses')) }}, false)
    end as is_failed,
    text_length,
    has_link,
    opt_out_keyword,
    opt_in_keyword,
    opt_out_likely,
    location_id,
    {% if names -%}
        coalesce(case location_id {% for id, name in names.items() %}when '{{ id }}' then '{{ name | replace("'", "''") }}' {% endfor %}end, location_name, location_id)
    {%- else -%}
        coalesce(location_name, location_id)
    {%- endif %} as location_name,
    status,
    thread_status,
    tie_order
from sessions
