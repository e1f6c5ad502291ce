{%- set stream = medchat_swell.stream('sync_windows') -%}

{{ medchat_swell.staging(stream, ['account_name', 'run_id', 'stream', 'window_start', 'window_end'], [
    ['account_name'],
    ['run_id'],
    ['stream_name', 'stream'],
    ['window_start', 'window_start', 'timestamp'],
    ['window_end', 'window_end', 'timestamp'],
    ['read_with'],
    ['requests', 'requests', 'bigint'],
    ['passes', 'passes', 'bigint'],
    ['rows_seen', 'rows_seen', 'bigint'],
    ['rows_written', 'rows_written', 'bigint'],
    ['vendor_total', 'vendor_total', 'bigint'],
    ['is_complete', 'is_complete', 'boolean'],
    ['reason'],
    ['tap_version'],
    ['started_at', 'started_at', 'timestamp'],
    ['finished_at', 'finished_at', 'timestamp'],
]) }}
