-- The database and the three roles, made once, when PostgreSQL's data folder is new.  Schemas, tables and grants are the
-- migrations' business (store/migrations); this is only what they stand on.
--
-- Passwords are read from files by psql itself, so that none is ever an argument of a process.

\set ON_ERROR_STOP on
\set owner_password `cat "${SECRETS_DIR:-/run/secrets}/billing_owner_password"`
\set app_password `cat "${SECRETS_DIR:-/run/secrets}/billing_app_password"`
\set reader_password `cat "${SECRETS_DIR:-/run/secrets}/billing_reader_password"`

-- A statement that fails is written to the server's log as it stands, password and all: not these.
SET log_min_error_statement = panic;

CREATE ROLE billing_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
CREATE ROLE billing_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'app_password';
CREATE ROLE billing_reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'reader_password';

-- A reader's slow question must not hold back vacuum, and must not write even where a grant was too wide.
ALTER ROLE billing_reader SET default_transaction_read_only = on;
ALTER ROLE billing_reader SET statement_timeout = '60s';

CREATE DATABASE billing OWNER billing_owner;
REVOKE ALL ON DATABASE billing FROM PUBLIC;
GRANT CONNECT ON DATABASE billing TO billing_app, billing_reader;
