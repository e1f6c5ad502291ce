{# A stream's table: its relation (none where it was not loaded) and its columns by name. #}
{% macro stream(name) %}
    {% set relation = none %}
    {% set columns = {} %}
    {% set declared = source('medchat_swell', name) %}
    {% if execute %}
        {% set relation = load_relation(declared) %}
        {% if relation is not none %}
            {% for column in adapter.get_columns_in_relation(relation) %}
                {% do columns.update({column.name: column}) %}
            {% endfor %}
        {% endif %}
    {% endif %}
    {{ return({'relation': relation, 'columns': columns}) }}
{% endmacro %}

{# What to select from: no rows where the stream was not loaded. #}
{% macro rows_of(stream) %}
    {{- stream.relation if stream.relation is not none else '(select 1 as nothing where 1 = 0) as absent' -}}
{% endmacro %}

{# A column in a type; null where the privacy profile, the selection or the target left it out.
   Times are in UTC without a zone. #}
{% macro column(stream, name, type='text') %}
    {%- set found = stream.columns.get(name) -%}
    {%- if found is none -%}
        cast(null as {{ type }})
    {%- elif type == 'timestamp' and 'time zone' in found.data_type | lower and 'without' not in found.data_type | lower -%}
        {{ adapter.quote(name) }} at time zone 'UTC'
    {%- else -%}
        cast({{ adapter.quote(name) }} as {{ type }})
    {%- endif -%}
{% endmacro %}

{# A field of an object, which is a column of its own where the tap or the target flattens. #}
{% macro field(stream, object, name, type='text') %}
    {%- set flat = object ~ '__' ~ name -%}
    {%- if flat in stream.columns -%}
        {{ medchat_swell.column(stream, flat, type) }}
    {%- elif object not in stream.columns -%}
        cast(null as {{ type }})
    {%- elif type == 'json' -%}
        cast({{ adapter.quote(object) }} as json) -> '{{ name }}'
    {%- else -%}
        cast(cast({{ adapter.quote(object) }} as json) ->> '{{ name }}' as {{ type }})
    {%- endif -%}
{% endmacro %}

{# The year of a time: all that the profile safe_harbor leaves of it. #}
{% macro year_of(stream, name) %}
    {%- set year = name ~ '_year' -%}
    {%- if year in stream.columns -%}
        {{ medchat_swell.column(stream, year, 'integer') }}
    {%- else -%}
        cast(extract(year from {{ medchat_swell.column(stream, name, 'timestamp') }}) as integer)
    {%- endif -%}
{% endmacro %}

{# Numbers the copies of a row, the newest first, for targets that append. #}
{% macro copy_number(stream, keys) %}
    {%- set stamps = ['_sdc_extracted_at', '_sdc_received_at', '_sdc_batched_at', '_sdc_sequence'] -%}
    {%- set found = stamps | select('in', stream.columns) | list -%}
    row_number() over (
        partition by
        {% for key in keys %}{{ medchat_swell.column(stream, key) }}{{ ', ' if not loop.last }}{% endfor %}
        order by {% if found %}{{ found | join(' desc, ') }} desc{% else %}1{% endif %}
    )
{%- endmacro %}

{# A stream as a staging model: the newest copy of each row. A column is its name, what it is made
   of where that differs (`contact.name`: a field of an object), and a type, or `year`. Columns
   made otherwise are SQL by name. #}
{% macro staging(stream, keys, columns, others={}) %}
    {%- set made = {} -%}
    {%- for column in columns -%}
        {%- set source = (column[1] or column[0]).split('.') -%}
        {%- set type = column[2] or 'text' -%}
        {%- if type == 'year' -%}
            {%- set sql = medchat_swell.year_of(stream, source[0]) -%}
        {%- elif source | length == 2 -%}
            {%- set sql = medchat_swell.field(stream, source[0], source[1], type) -%}
        {%- else -%}
            {%- set sql = medchat_swell.column(stream, source[0], type) -%}
        {%- endif -%}
        {%- do made.update({column[0]: sql}) -%}
    {%- endfor -%}
    {%- do made.update(others) -%}
    with ranked as (
        select
            {% for name, sql in made.items() %}{{ sql }} as {{ name }},
            {% endfor %}{{ medchat_swell.copy_number(stream, keys) }} as copy_number
        from {{ medchat_swell.rows_of(stream) }}
    )

    select {{ made | join(', ') }}
    from ranked
    where copy_number = 1
{%- endmacro %}
