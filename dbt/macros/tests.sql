{# A number between two bounds; nulls pass. #}
{% test within(model, column_name, minimum=0, maximum=none) %}
    select {{ column_name }}
    from {{ model }}
    where
        {{ column_name }} < {{ minimum }}
        {%- if maximum is not none %} or {{ column_name }} > {{ maximum }}{% endif %}
{% endtest %}

{# A condition on each row; null passes. #}
{% test holds(model, condition) %}
    select *
    from {{ model }}
    where not ({{ condition }})
{% endtest %}
