{%- set stream = medchat_swell.stream('sms_chats') -%}

{{ medchat_swell.staging(stream, ['account_name', 'id'], [
    ['account_name'],
    ['chat_id', 'id'],
    ['created_at', 'created_date_time', 'timestamp'],
    ['created_year', 'created_date_time', 'year'],
    ['status'],
    ['patient_name', 'name'],
    ['patient_name_pseudonym', 'name_pseudonym'],
    ['user_phone', 'user_phone_number'],
    ['user_phone_pseudonym', 'user_phone_number_pseudonym'],
]) }}
