#!/bin/sh
# make-secrets.sh [DIR]: makes what compose.yaml takes from DIR (secrets/ beside this file), once: a random password for
# the database. The folder is closed to others; the file in it is readable, since the containers' users, who are not
# you, read it where it is mounted.
set -eu
dir=${1:-$(dirname "$0")/secrets}
file=$dir/postgres_password
if [ -s "$file" ]; then
    echo "$file is there already"
    exit 0
fi
mkdir -p "$dir"
chmod 700 "$dir"
umask 022
head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$file.new"
echo >>"$file.new"
mv "$file.new" "$file"
echo "made $file"
