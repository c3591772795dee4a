"""Real servers for tests: PostgreSQL, Valkey, Kabar's own processes. All end with the test run."""
