with locations as (
    select
        account_name,
        message_id,
        string_agg(location_id, ',' order by location_number) as location_id,
        string_agg(location_name, ', ' order by location_number) as location_name
    from {{ ref('int_medchat_swell__swell_locations') }}
    group by account_name, message_id
),

messages as (
    select
        *,
        {{ medchat_swell.direction('message_type') }} as direction,
        {{ medchat_swell.phone('contact_phone') }} as phone
    from {{ ref('stg_medchat_swell__swell_messages') }}
)

select
    messages.account_name,
    'swell' as vendor,
    messages.message_id,
    cast(null as text) as chat_id,
    coalesce(
        messages.contact_phone_pseudonym,
        messages.phone,
        'swell:' || messages.contact_id
    ) as contact_key,
    messages.phone as contact_phone,
    messages.contact_phone_pseudonym as contact_pseudonym,
    messages.direction,
    coalesce(messages.created_at, messages.sent_at) as created_at,
    coalesce(messages.sent_at, messages.created_at) as sent_at,
    coalesce(messages.sent_year, messages.created_year) as sent_year,
    case when messages.direction = 'outbound' then messages.has_invite end as is_automated,
    messages.text_length,
    messages.has_link,
    messages.opt_out_keyword,
    messages.opt_in_keyword,
    messages.opt_out_likely,
    locations.location_id,
    locations.location_name,
    messages.status,
    messages.status as thread_status,
    lpad(messages.message_id, 40, '0') as tie_order
from messages
left join locations
    on messages.account_name = locations.account_name and messages.message_id = locations.message_id
