with messages as (
    select
        *,
        direction = 'inbound'
        {%- if not var('medchat_swell_opt_outs_wait') %} and opt_out_keyword is null{% endif %} as can_wait,
        direction = 'outbound' and not is_failed and is_automated is not true as is_reply
    from {{ ref('medchat_swell__messages') }}
    where line_key is not null and not is_scheduled
),

numbered as (
    select
        *,
        count(*) filter (where is_reply) over (
            partition by line_key order by sent_at, tie_order rows unbounded preceding
        ) as replies
    from messages
),

waiting as (
    select
        *,
        row_number() over (partition by line_key, replies order by sent_at, tie_order) as place,
        count(*) over (partition by line_key, replies) as inbound_messages
    from numbered
    where can_wait
)

select
    starts.message_key,
    starts.account_name,
    starts.vendor,
    starts.line_key,
    starts.thread_id,
    starts.contact_key,
    starts.location_id,
    starts.location_name,
    starts.opt_out_keyword,
    starts.sent_at as started_at,
    starts.sent_at_local as started_at_local,
    starts.sent_on as started_on,
    starts.inbound_messages,
    ends.thread_id as last_inbound_thread_id,
    answers.message_key as reply_message_key,
    answers.sent_at as replied_at,
    cast({{ medchat_swell.to_local('answers.sent_at', medchat_swell.timezone_of('starts.location_id')) }} as date) as replied_on,
    case
        when answers.message_key is not null then 'answered'
        when lower(ends.thread_status) in {{ medchat_swell.words(var('medchat_swell_closed_statuses')) }} then 'closed'
        else 'open'
    end as outcome
from waiting as starts
inner join waiting as ends
    on
        starts.line_key = ends.line_key
        and starts.replies = ends.replies
        and starts.inbound_messages = ends.place
left join numbered as answers
    on
        starts.line_key = answers.line_key
        and starts.replies + 1 = answers.replies
        and answers.is_reply
where starts.place = 1
