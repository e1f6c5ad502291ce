with elements as (
    select
        account_name,
        message_id,
        {{ medchat_swell.elements('locations') }} as location
    from {{ ref('stg_medchat_swell__swell_messages') }}
),

named as (
    select
        account_name,
        message_id,
        cast(location ->> 'id' as bigint) as location_number,
        location ->> 'name' as location_name
    from elements
)

select
    account_name,
    message_id,
    cast(location_number as text) as location_id,
    location_number,
    max(location_name) as location_name
from named
where location_number is not null
group by account_name, message_id, location_number
