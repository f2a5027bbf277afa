# shellcheck shell=sh disable=SC2034,SC2154
# The official Python client against our endpoint.
peer_title="openai (Python client)"
peer_package=openai
peer_disk_mb=80
peer_packages() { echo "openai==3.57.0"; }
peer_check() { "$venv/bin/python" "$here/openai_client.py" "$1" "$state/native.jsonl"; }
