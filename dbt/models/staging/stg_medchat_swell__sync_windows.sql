{%- set stream = medchat_swell.stream('sync_windows') -%}

with ranked as (
    select
        {{ medchat_swell.column(stream, 'account_name') }} as account_name,
        {{ medchat_swell.column(stream, 'run_id') }} as run_id,
        {{ medchat_swell.column(stream, 'stream') }} as stream_name,
        {{ medchat_swell.column(stream, 'window_start', 'timestamp') }} as window_start,
        {{ medchat_swell.column(stream, 'window_end', 'timestamp') }} as window_end,
        {{ medchat_swell.column(stream, 'read_with') }} as read_with,
        {{ medchat_swell.column(stream, 'requests', 'bigint') }} as requests,
        {{ medchat_swell.column(stream, 'passes', 'bigint') }} as passes,
        {{ medchat_swell.column(stream, 'rows_seen', 'bigint') }} as rows_seen,
        {{ medchat_swell.column(stream, 'rows_written', 'bigint') }} as rows_written,
        {{ medchat_swell.column(stream, 'vendor_total', 'bigint') }} as vendor_total,
        {{ medchat_swell.column(stream, 'is_complete', 'boolean') }} as is_complete,
        {{ medchat_swell.column(stream, 'reason') }} as reason,
        {{ medchat_swell.column(stream, 'tap_version') }} as tap_version,
        {{ medchat_swell.column(stream, 'started_at', 'timestamp') }} as started_at,
        {{ medchat_swell.column(stream, 'finished_at', 'timestamp') }} as finished_at,
        {{ medchat_swell.copy_number(stream, ['account_name', 'run_id', 'stream', 'window_start', 'window_end']) }} as copy_number
    from {{ medchat_swell.rows_of(stream) }}
)

select
    account_name,
    run_id,
    stream_name,
    window_start,
    window_end,
    read_with,
    requests,
    passes,
    rows_seen,
    rows_written,
    vendor_total,
    is_complete,
    reason,
    tap_version,
    started_at,
    finished_at
from ranked
where copy_number = 1
