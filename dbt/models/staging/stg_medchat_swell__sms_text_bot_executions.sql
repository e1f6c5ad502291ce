{%- set stream = medchat_swell.stream('sms_text_bot_executions') -%}

{{ medchat_swell.staging(stream, ['account_name', 'id'], [
    ['account_name'],
    ['execution_id', 'id'],
    ['chat_id', 'sms_chat_id'],
    ['created_at', 'created_date_time', 'timestamp'],
    ['created_year', 'created_date_time', 'year'],
    ['text_bot_id'],
    ['status'],
    ['recipient_name', 'name'],
    ['recipient_name_pseudonym', 'name_pseudonym'],
    ['sender_phone', 'sender_phone_number'],
    ['sender_phone_pseudonym', 'sender_phone_number_pseudonym'],
    ['recipient_phone', 'recipient_phone_number'],
    ['recipient_phone_pseudonym', 'recipient_phone_number_pseudonym'],
]) }}
