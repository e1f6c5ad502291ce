{%- set executions_loaded = medchat_swell.stream('sms_text_bot_executions').relation is not none -%}

with chats as (
    select
        account_name,
        chat_id,
        status,
        {{ medchat_swell.phone('user_phone') }} as contact_phone,
        user_phone_pseudonym as contact_pseudonym
    from {{ ref('stg_medchat_swell__sms_chats') }}
),

parties as (
    select
        messages.*,
        chats.status as chat_status,
        chats.contact_phone,
        chats.contact_pseudonym,
        coalesce(chats.contact_pseudonym, chats.contact_phone) as user_number,
        coalesce(
            messages.sender_phone_pseudonym, {{ medchat_swell.phone('messages.sender_phone') }}
        ) as sender_number,
        coalesce(
            messages.recipient_phone_pseudonym, {{ medchat_swell.phone('messages.recipient_phone') }}
        ) as recipient_number
    from {{ ref('stg_medchat_swell__sms_messages') }} as messages
    left join chats
        on messages.account_name = chats.account_name and messages.chat_id = chats.chat_id
),

directed as (
    select
        *,
        case
            when sender_number = user_number then 'inbound'
            when sender_number <> user_number or recipient_number = user_number then 'outbound'
            when recipient_number <> user_number then 'inbound'
            else {{ medchat_swell.direction('vendor_direction') }}
        end as direction
    from parties
)

select
    directed.account_name,
    'medchat' as vendor,
    directed.message_id,
    directed.chat_id,
    coalesce(directed.user_number, 'medchat:' || directed.chat_id) as contact_key,
    directed.contact_phone,
    directed.contact_pseudonym,
    directed.direction,
    directed.created_at,
    directed.created_at as sent_at,
    directed.created_year as sent_year,
    case
        when directed.direction = 'outbound' and {{ executions_loaded | lower }}
            then exists (
                select 1
                from {{ ref('stg_medchat_swell__sms_text_bot_executions') }} as executions
                where
                    executions.account_name = directed.account_name
                    and executions.chat_id = directed.chat_id
                    and directed.created_at >= executions.created_at
                    and directed.created_at < executions.created_at
                    + {{ var('medchat_swell_bot_minutes') }} * interval '1 minute'
            )
    end as is_automated,
    directed.text_length,
    directed.has_link,
    directed.opt_out_keyword,
    directed.opt_in_keyword,
    directed.opt_out_likely,
    case
        when directed.direction = 'inbound' then directed.recipient_number
        when directed.direction = 'outbound' then directed.sender_number
    end as location_id,
    cast(null as text) as location_name,
    directed.status,
    directed.chat_status as thread_status,
    case when directed.direction = 'inbound' then '0' else '1' end || directed.message_id as tie_order
from directed
