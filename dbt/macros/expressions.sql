{# A key made of columns; a null counts as an empty text. #}
{% macro surrogate_key(columns) %}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do parts.append("coalesce(cast(" ~ column ~ " as text), '')") -%}
    {%- endfor -%}
    md5({{ parts | join(" || '|' || ") }})
{%- endmacro %}

{# A time in UTC as the clocks in a zone showed it, both without a zone. #}
{% macro to_local(time, zone) %}
    {{- time }} at time zone 'UTC' at time zone {{ zone }}
{%- endmacro %}

{# The reverse. Where the clocks go back, the later of the two; where they skip, after the gap. #}
{% macro to_utc(time, zone) %}
    {{- time }} at time zone {{ zone }} at time zone 'UTC'
{%- endmacro %}

{# The time that the marts are about: one for all models of a run. #}
{% macro as_of() %}
    {%- set given = var('medchat_swell_as_of') -%}
    cast('{{ given if given else run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}' as timestamp)
{%- endmacro %}

{# Minutes between two times, with fractions. #}
{% macro minutes_between(earlier, later) %}
    cast(extract(epoch from {{ later }} - {{ earlier }}) / 60.0 as double precision)
{%- endmacro %}

{# A percentile, interpolated; nulls do not count. #}
{% macro percentile(share, column) %}
    cast(percentile_cont({{ share }}) within group (order by {{ column }}) as double precision)
{%- endmacro %}

{# Days, both ends included; none where an end is null. #}
{% macro days_between(first, last) %}
    {{- return(adapter.dispatch('days_between', 'medchat_swell')(first, last)) }}
{% endmacro %}

{% macro default__days_between(first, last) %}
    cast(generate_series({{ first }}, {{ last }}, interval '1 day') as date)
{%- endmacro %}

{% macro duckdb__days_between(first, last) %}
    cast(unnest(generate_series({{ first }}, {{ last }}, interval '1 day')) as date)
{%- endmacro %}

{# The elements of a JSON list, a row each; none where it is no list. #}
{% macro elements(list) %}
    {{- return(adapter.dispatch('elements', 'medchat_swell')(list)) }}
{% endmacro %}

{% macro default__elements(list) %}
    json_array_elements(case when json_typeof({{ list }}) = 'array' then {{ list }} else '[]' end)
{%- endmacro %}

{% macro duckdb__elements(list) %}
    unnest(case when json_type({{ list }}) = 'ARRAY' then cast({{ list }} as json []) end)
{%- endmacro %}

{# A list of texts for `in`, in lower case; what no text equals where the list is empty. #}
{% macro words(list) %}
    {%- set quoted = [] -%}
    {%- for word in list -%}{%- do quoted.append("'" ~ word | lower ~ "'") -%}{%- endfor -%}
    ({{ quoted | join(', ') if quoted else 'null' }})
{%- endmacro %}
