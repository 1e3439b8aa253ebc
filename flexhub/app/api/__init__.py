"""The exchange interface over HTTP (GOFLEX D2.1, Table 6): REST, a stream of changes, and its OpenAPI document."""
