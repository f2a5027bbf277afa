#!/bin/sh
# PostgreSQL for the suite, as a container's main process: makes the cluster at the first start, then becomes the server.
# The suite's role "moecap" owns the database "moecap" and is no superuser; nobody else can log in over the network.
# Further arguments go to the server. Runs as an ordinary user and writes in two folders only:
#
#   PGDATA           the cluster; its parent is the volume         (/var/lib/moecap-postgres/data)
#   PGSOCKETS        the local socket: psql as the server's user   (/tmp)
#   PGPASSWORD_FILE  file whose first line is moecap's password    (/run/secrets/postgres_password)
set -eu
data=${PGDATA:-/var/lib/moecap-postgres/data}
sockets=${PGSOCKETS:-/tmp}
password=${PGPASSWORD_FILE:-/run/secrets/postgres_password}

fail() {
    echo "moecap-postgres: $*" >&2
    exit 1
}

# Runs SQL in a server of its own that nobody can connect to.
alone() {
    printf '%s\n' "$1" | "$bin/postgres" --single -D "$data.new" -c exit_on_error=on postgres >/dev/null
}

make_cluster() {
    secret=$(head -n 1 "$password" 2>/dev/null | tr -d '\r' | sed "s/'/''/g") || true
    [ -n "$secret" ] || fail "the password file $password is missing or has an empty first line"
    rm -rf "$data.new" # a first start that was killed
    "$bin/initdb" -D "$data.new" -U postgres -A peer -E UTF8 --locale=C.UTF-8 >/dev/null
    printf 'local all postgres peer\nhost moecap moecap all scram-sha-256\n' >"$data.new/pg_hba.conf"
    alone "CREATE ROLE moecap LOGIN PASSWORD '$secret'"
    alone "CREATE DATABASE moecap OWNER moecap"
    mv "$data.new" "$data"
    echo "moecap-postgres: made a cluster of version $version in $data"
}

bin=
for dir in /usr/lib/postgresql/*/bin; do
    [ ! -x "$dir/initdb" ] || bin=$dir # the newest comes last
done
[ -n "$bin" ] || fail "no PostgreSQL server is installed"
version=$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
[ -s "$data/PG_VERSION" ] || make_cluster
made=$(cat "$data/PG_VERSION")
[ "$made" = "$version" ] || fail "the cluster in $data is of version $made, this server of $version:" \
    "dump it with the image that made it and load that into a new volume"
exec "$bin/postgres" -D "$data" -c listen_addresses='*' -c unix_socket_directories="$sockets" "$@"
