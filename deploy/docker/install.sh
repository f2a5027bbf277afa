#!/bin/sh
# install.sh LIST [PACKAGE...]: installs the packages that LIST names, a file or a folder of files, and those given, and
# leaves neither archives nor the index behind.
set -eu
list=$1
shift
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2046 # a list of words
apt-get install -y -qq --no-install-recommends $(find "$list" -type f -exec cat {} + | sort -u) "$@" >/dev/null
apt-get clean
rm -rf /var/lib/apt/lists/*
