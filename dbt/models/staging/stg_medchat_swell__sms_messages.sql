{%- set stream = medchat_swell.stream('sms_messages') -%}

{{ medchat_swell.staging(stream, ['account_name', 'id'], [
    ['account_name'],
    ['message_id', 'id'],
    ['chat_id', 'sms_chat_id'],
    ['created_at', 'created_date_time', 'timestamp'],
    ['created_year', 'created_date_time', 'year'],
    ['body', 'text'],
    ['text_length', 'text_length', 'integer'],
    ['has_link', 'has_link', 'boolean'],
    ['opt_out_keyword'],
    ['opt_in_keyword'],
    ['opt_out_likely', 'opt_out_likely', 'boolean'],
    ['vendor_direction', 'direction'],
    ['status'],
    ['sender_name', 'name'],
    ['sender_name_pseudonym', 'name_pseudonym'],
    ['sender_phone', 'sender_phone_number'],
    ['sender_phone_pseudonym', 'sender_phone_number_pseudonym'],
    ['recipient_phone', 'recipient_phone_number'],
    ['recipient_phone_pseudonym', 'recipient_phone_number_pseudonym'],
]) }}
