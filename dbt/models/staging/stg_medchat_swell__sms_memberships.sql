{%- set stream = medchat_swell.stream('sms_memberships') -%}

{{ medchat_swell.staging(stream, ['account_name', 'id'], [
    ['account_name'],
    ['membership_id', 'id'],
    ['chat_id', 'sms_chat_id'],
    ['created_at', 'created_date_time', 'timestamp'],
    ['created_year', 'created_date_time', 'year'],
    ['user_id'],
    ['member_name', 'name'],
    ['member_name_pseudonym', 'name_pseudonym'],
]) }}
