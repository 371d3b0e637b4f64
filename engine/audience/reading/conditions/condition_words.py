"""The words that a condition may use: operators, literals, types and functions of a single row."""

_COMPARISONS = frozenset(["=", "==", "<>", "!=", "<", "<=", ">", ">=", "<=>"])
SYMBOLS = _COMPARISONS | frozenset(
    ["+", "-", "*", "/", "//", "%", "&", "|", "||", "^@", "->", "->>",
     "~", "~*", "!~", "!~*", "~~", "~~*", "!~~", "!~~*"]
)  # fmt: skip
JOINING = frozenset(["AND", "OR", "XOR", "BETWEEN", "LIKE", "ILIKE", "REGEXP", "RLIKE"])
AFTER_NOT = frozenset(["IN", "BETWEEN", "LIKE", "ILIKE", "REGEXP", "RLIKE"])
CONSTANTS = frozenset(["NULL", "TRUE", "FALSE"])
TIMES = frozenset(["CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP"])
TYPED_LITERALS = frozenset(["DATE", "TIME", "TIMESTAMP", "DATETIME"])
UNITS = frozenset(
    f"{unit}{plural}"
    for unit in ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND",
                 "NANOSECOND")
    for plural in ("", "S")
)  # fmt: skip
FIELDS = UNITS | frozenset(
    ["CENTURY", "DECADE", "MILLENNIUM", "ISOYEAR", "ISOWEEK", "ISODOW", "DOW", "DOY", "DAYOFWEEK", "DAYOFYEAR", "EPOCH",
     "TIME"]
)  # fmt: skip
# A column of such a name is written in double quotes.
RESERVED = JOINING | frozenset(["NOT", "IN", "IS", "WHEN", "THEN", "ELSE", "END", "AS"])
QUERIES = frozenset(
    ["SELECT", "WITH", "FROM", "TABLE", "VALUES", "UNION", "INTERSECT", "EXCEPT", "EXISTS", "JOIN", "HAVING", "GROUP",
     "LATERAL", "WHERE"]
)  # fmt: skip
TYPES = frozenset(
    ["INT", "INTEGER", "INT1", "INT2", "INT4", "INT8", "INT16", "INT32", "INT64", "INT128", "TINYINT", "SMALLINT",
     "MEDIUMINT", "BIGINT", "HUGEINT", "UINT8", "UINT16", "UINT32", "UINT64", "UINT128", "UINT1", "UINT2", "UINT4",
     "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UNSIGNED", "SIGNED", "FLOAT", "FLOAT2", "FLOAT4", "FLOAT8",
     "FLOAT16", "FLOAT32", "FLOAT64", "DOUBLE", "PRECISION", "REAL", "DEC", "DECIMAL", "NUMERIC", "BOOL", "BOOLEAN",
     "CHAR", "CHARACTER", "VARYING", "VARCHAR", "TEXT", "STRING", "BYTES", "BYTEA", "BLOB", "BINARY", "VARBINARY",
     "DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "DATETIME", "INTERVAL", "UUID"]
)  # fmt: skip
# Functions of a single row. Functions that use other rows, read anything or return random values are not among them.
FUNCTIONS = frozenset(
    ["abs", "acos", "acosd", "array_contains", "array_get", "array_length", "array_lower", "array_mean",
     "array_reverse", "array_sum", "array_to_string", "array_unique", "array_upper", "asin", "asind", "atan", "atan2",
     "atan2d", "atand", "bit_and", "bit_count", "bit_length", "bit_not", "bit_or", "bit_xor", "bitand", "bitcount",
     "bitnot", "bitor", "bitxor", "cbrt", "ceil", "ceiling", "char_length", "character_length", "coalesce", "concat",
     "concat_ws", "cos", "cosd", "cot", "cotd", "date", "date_part", "datetime", "day", "dayofweek", "degrees", "div",
     "ends_with", "exp", "floor", "greatest", "hour", "if", "ifnull", "initcap", "least", "left", "length", "ln",
     "log", "log10", "log1p", "log2", "lower", "lpad", "ltrim", "minute", "mod", "month", "normalize", "nullif",
     "octet_length", "pow", "power", "radians", "regexp_like", "regexp_replace", "replace", "reverse", "right",
     "round", "rpad", "rtrim", "second", "sign", "sin", "sind", "split_part", "sqrt", "starts_with", "strftime",
     "string_to_array", "strpos", "strptime", "tan", "tand", "time", "timestamp", "trunc", "truncate", "upper", "week",
     "xor", "year"]
)  # fmt: skip
FUNCTIONS_WITHOUT_ARGUMENTS = frozenset(["now", "pi", *(name.lower() for name in TIMES)])
OF_SEVERAL_ROWS = frozenset(
    ["array_agg", "avg", "corr", "count", "covar", "covar_pop", "covar_samp", "cume_dist", "dense_rank", "first",
     "first_value", "lag", "last", "last_value", "lead", "max", "mean", "median", "min", "mode", "nth_value", "ntile",
     "percent_rank", "quantile", "quantile_cont", "quantile_disc", "rank", "row_number", "std", "stddev",
     "stddev_samp", "stdev", "stdev_samp", "string_agg", "sum", "unnest", "explode", "var", "var_samp", "variance",
     "over", "filter", "within"]
)  # fmt: skip
