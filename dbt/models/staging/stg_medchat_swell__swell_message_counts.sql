{%- set stream = medchat_swell.stream('swell_message_counts') -%}

{{ medchat_swell.staging(stream, ['account_name', 'date', 'location_id', 'team_id'], [
    ['account_name'],
    ['year', 'date', 'year'],
    ['location_id'],
    ['team_id'],
    ['received', 'received', 'integer'],
    ['sent', 'sent', 'integer'],
], {
    'count_key': medchat_swell.surrogate_key([
        medchat_swell.column(stream, 'account_name'), medchat_swell.column(stream, 'date'),
        medchat_swell.column(stream, 'location_id'), medchat_swell.column(stream, 'team_id'),
    ]),
    'day': 'cast(null as date)' if 'date_year' in stream.columns else medchat_swell.column(stream, 'date', 'date'),
}) }}
