#!/usr/bin/env bash
# Starts a gateway with config/test_config.toml and checks, by curl, what auth and permission promise.
#
#   make build && examples/test_auth.sh
#
# BERRY names the binary. It needs bash and curl.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
berry=${BERRY:-$root/bin/berry}
folder=$(mktemp -d)

cp "$root/config/test_config.toml" "$folder/config.toml"
chmod 600 "$folder/config.toml"
BERRY_SERVER__LISTEN=127.0.0.1:0 BERRY_SERVER__ADMIN_LISTEN=127.0.0.1:0 \
	"$berry" serve --config "$folder/config.toml" 2>"$folder/log" &
gateway=$!
trap 'kill $gateway 2>/dev/null; wait $gateway 2>/dev/null; rm -rf "$folder"' EXIT

url=
for _ in $(seq 200); do # until it says where it listens: any free port
	url=http://$(sed -n 's/.*"address":"\([^"]*\)".*/\1/p' "$folder/log")
	[[ $url != http:// ]] && break
	kill -0 $gateway 2>/dev/null || { echo "the gateway did not start:"; cat "$folder/log"; exit 1; }
	sleep 0.1
done

failures=0
# expect WHAT STATUS CODE CURL-ARGUMENTS…: the answer has the status and its text holds the code.
expect() {
	local what=$1 status=$2 code=$3 answer
	shift 3
	answer=$(curl -s -w '\n%{http_code}' "$@")
	if [[ ${answer##*$'\n'} == "$status" && $answer == *"$code"* ]]; then
		echo "ok    $what: $status $code"
	else
		echo "FAIL  $what: wanted $status $code, got: $answer"
		failures=$((failures + 1))
	fi
}
chat=$url/v1/chat/completions
fast='{"model":"fast-model","messages":[]}'
smart='{"model":"smart-model","messages":[]}'

echo "Who are you?"
expect "no token"             401 missing_api_key     "$chat" -d "$fast"
expect "no bearer"            401 missing_api_key     "$chat" -d "$fast" -H 'Authorization: Basic YTpi'
expect "two tokens"           401 missing_api_key     "$chat" -d "$fast" -H 'Authorization: Bearer a b'
expect "unknown token"        401 invalid_api_key     "$chat" -d "$fast" -H 'Authorization: Bearer berry-guess'
expect "switched off"         401 account_deactivated "$chat" -d "$fast" -H 'Authorization: Bearer berry-former-901234'

echo "May you?"
expect "one's own model"      502 upstream_error      "$chat" -d "$fast" -H 'Authorization: Bearer berry-user-789012'
expect "another's model"      403 model_not_allowed   "$chat" -d "$smart" -H 'Authorization: Bearer berry-user-789012'
expect "all models"           502 upstream_error      "$chat" -d "$smart" -H 'Authorization: Bearer berry-admin-123456'
expect "a token kept as hash" 502 upstream_error      "$chat" -d "$smart" -H 'Authorization: Bearer berry-hashed-345678'
expect "no such model"        404 model_not_found     "$chat" -d '{"model":"none"}' -H 'Authorization: Bearer berry-user-789012'
expect "a disabled model"     404 model_not_found     "$chat" -d '{"model":"retired-model"}' -H 'Authorization: Bearer berry-admin-123456'
expect "no backend"           503 no_backend_available "$chat" -d '{"model":"idle-model"}' -H 'Authorization: Bearer berry-admin-123456'

echo "What may you use?"
expect "the list, refused"    401 missing_api_key     "$url/v1/models"
expect "the user's list"      200 fast-model          "$url/v1/models" -H 'Authorization: Bearer berry-user-789012'
if curl -s "$url/v1/models" -H 'Authorization: Bearer berry-user-789012' | grep -q smart-model; then
	echo "FAIL  the user's list shows smart-model"
	failures=$((failures + 1))
fi

echo "Is it audited, without the token?"
if grep -q '"authentication refused"' "$folder/log" && ! grep -q 'berry-guess' "$folder/log"; then
	echo "ok    the log has the refusals and no token"
else
	echo "FAIL  the log: $(cat "$folder/log")"
	failures=$((failures + 1))
fi

echo "$failures failures"
exit $((failures > 0))
