{%- set zones = var('medchat_swell_zone_hypotheses') -%}

with zones as (
    {% for zone in zones -%}
        select
            {{ loop.index }} as zone_number,
            '{{ zone }}' as zone
        {{ 'union all' if not loop.last }}
    {% endfor -%}
),

counts as (
    select
        *,
        {{ medchat_swell.as_of() }} >= cast(day as timestamp) + interval '36 hours' as is_final
    from {{ ref('stg_medchat_swell__swell_message_counts') }}
    where day is not null
),

scopes as (
    select distinct
        account_name,
        location_id,
        team_id
    from counts
),

messages as (
    select
        account_name,
        message_id,
        direction,
        created_at
    from {{ ref('medchat_swell__messages') }}
    where vendor = 'swell' and created_at is not null
),

scoped as (
    select
        messages.*,
        scopes.location_id,
        scopes.team_id
    from scopes
    inner join messages on scopes.account_name = messages.account_name
    where
        scopes.team_id = 'all'
        and (
            scopes.location_id = 'all'
            or exists (
                select 1
                from {{ ref('int_medchat_swell__swell_locations') }} as locations
                where
                    locations.account_name = messages.account_name
                    and locations.message_id = messages.message_id
                    and ',' || scopes.location_id || ',' like '%,' || locations.location_id || ',%'
            )
        )
),

dated as (
    select
        scoped.*,
        zones.zone,
        cast({{ medchat_swell.to_local('scoped.created_at', 'zones.zone') }} as date) as day
    from scoped
    cross join zones
),

loaded as (
    select
        account_name,
        location_id,
        team_id,
        zone,
        day,
        count(*) filter (where direction = 'inbound') as received,
        count(*) filter (where direction = 'outbound') as sent
    from dated
    group by account_name, location_id, team_id, zone, day
),

compared as (
    select
        counts.count_key,
        counts.account_name,
        counts.day,
        counts.location_id,
        counts.team_id,
        counts.is_final,
        counts.received as counted_received,
        counts.sent as counted_sent,
        zones.zone,
        zones.zone_number,
        case when counts.team_id = 'all' then coalesce(loaded.received, 0) end as loaded_received,
        case when counts.team_id = 'all' then coalesce(loaded.sent, 0) end as loaded_sent
    from counts
    cross join zones
    left join loaded
        on
            counts.account_name = loaded.account_name
            and counts.location_id = loaded.location_id
            and counts.team_id = loaded.team_id
            and counts.day = loaded.day
            and zones.zone = loaded.zone
),

fits as (
    select
        account_name,
        zone,
        zone_number,
        coalesce(sum(abs(counted_received - loaded_received) + abs(counted_sent - loaded_sent)), 0) as zone_difference
    from compared
    where is_final
    group by account_name, zone, zone_number
),

best as (
    select
        *,
        row_number() over (partition by account_name order by zone_difference, zone_number) as place
    from fits
)

select
    compared.count_key,
    compared.account_name,
    compared.day,
    compared.location_id,
    compared.team_id,
    compared.zone,
    cast(best.zone_difference as bigint) as zone_difference,
    compared.is_final,
    compared.counted_received,
    compared.loaded_received,
    compared.counted_received - compared.loaded_received as received_difference,
    compared.counted_sent,
    compared.loaded_sent,
    compared.counted_sent - compared.loaded_sent as sent_difference,
    case
        when compared.is_final
            then compared.counted_received = compared.loaded_received and compared.counted_sent = compared.loaded_sent
    end as is_match
from compared
inner join best
    on compared.account_name = best.account_name and compared.zone = best.zone and best.place = 1
