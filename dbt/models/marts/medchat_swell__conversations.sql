with messages as (
    select
        *,
        row_number() over (partition by account_name, vendor, thread_id order by sent_at desc nulls last, tie_order desc)
            as place_from_last
    from {{ ref('medchat_swell__messages') }}
    where thread_id is not null and (sent_at is null or not is_scheduled)
),

threads as (
    select
        account_name,
        vendor,
        thread_id,
        max(line_key) as line_key,
        count(*) as messages,
        count(*) filter (where direction = 'inbound') as inbound_messages,
        count(*) filter (where direction = 'outbound') as outbound_messages,
        count(*) filter (where is_automated) as automated_messages,
        min(sent_at) as first_message_at,
        max(sent_at) as last_message_at,
        max(sent_at) filter (where direction = 'inbound') as last_inbound_at,
        max(contact_key) as contact_key,
        max(contact_phone) as contact_phone,
        max(contact_pseudonym) as contact_pseudonym,
        max(direction) filter (where place_from_last = 1 and sent_at is not null) as last_direction,
        max(location_id) filter (where place_from_last = 1) as location_id,
        max(location_name) filter (where place_from_last = 1) as location_name,
        max(status) filter (where place_from_last = 1 and vendor = 'swell') as status
    from messages
    group by account_name, vendor, thread_id
),

chats as (
    select
        account_name,
        'medchat' as vendor,
        chat_id as thread_id,
        created_at,
        created_year,
        status,
        {{ medchat_swell.phone('user_phone') }} as contact_phone,
        user_phone_pseudonym as contact_pseudonym
    from {{ ref('stg_medchat_swell__sms_chats') }}
),

opt_outs as (
    select distinct
        account_name,
        contact_key
    from {{ ref('medchat_swell__consent_events') }}
    where current_state = 'opted_out'
),

joined as (
    select
        coalesce(threads.account_name, chats.account_name) as account_name,
        coalesce(threads.vendor, chats.vendor) as vendor,
        coalesce(threads.thread_id, chats.thread_id) as thread_id,
        threads.line_key,
        coalesce(
            threads.contact_key, chats.contact_pseudonym, chats.contact_phone, 'medchat:' || chats.thread_id
        ) as contact_key,
        coalesce(threads.contact_phone, chats.contact_phone) as contact_phone,
        coalesce(threads.contact_pseudonym, chats.contact_pseudonym) as contact_pseudonym,
        threads.location_id,
        threads.location_name,
        coalesce(chats.status, threads.status) as status,
        coalesce(chats.created_at, threads.first_message_at) as started_at,
        coalesce(chats.created_year, cast(extract(year from threads.first_message_at) as integer)) as started_year,
        threads.first_message_at,
        threads.last_message_at,
        threads.last_inbound_at,
        coalesce(threads.messages, 0) as messages,
        coalesce(threads.inbound_messages, 0) as inbound_messages,
        coalesce(threads.outbound_messages, 0) as outbound_messages,
        coalesce(threads.automated_messages, 0) as automated_messages,
        threads.last_direction
    from threads
    full outer join chats
        on
            threads.account_name = chats.account_name
            and threads.vendor = chats.vendor
            and threads.thread_id = chats.thread_id
),

waits as (
    select * from {{ ref('medchat_swell__response_times') }}
    where outcome <> 'answered'
),

states as (
    select
        joined.*,
        waits.started_at as wait_started_at,
        waits.waited_minutes,
        waits.waited_business_minutes,
        opt_outs.contact_key is not null as is_opted_out,
        case
            when joined.messages = 0 then 'empty'
            when joined.inbound_messages = 0 then 'outbound_only'
            when joined.last_inbound_at is null then null
            when waits.message_key is null then 'answered'
            when wait_ends.last_inbound_thread_id = joined.thread_id then waits.outcome
            else 'carried_over'
        end as state
    from joined
    left join waits
        on joined.line_key = waits.line_key and joined.last_inbound_at >= waits.started_at
    left join {{ ref('int_medchat_swell__waits') }} as wait_ends on waits.message_key = wait_ends.message_key
    left join opt_outs
        on joined.account_name = opt_outs.account_name and joined.contact_key = opt_outs.contact_key
)

select
    {{ medchat_swell.surrogate_key(['account_name', 'vendor', 'thread_id']) }} as conversation_key,
    account_name,
    vendor,
    thread_id,
    contact_key,
    contact_phone,
    contact_pseudonym,
    location_id,
    location_name,
    status,
    started_at,
    started_year,
    first_message_at,
    last_message_at,
    messages,
    inbound_messages,
    outbound_messages,
    automated_messages,
    last_direction,
    state,
    case when state = 'open' then wait_started_at end as waiting_since,
    case when state = 'open' then waited_minutes end as waiting_minutes,
    case when state = 'open' then waited_business_minutes end as waiting_business_minutes,
    is_opted_out
from states
