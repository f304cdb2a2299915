#!/bin/sh
# Makes what docker-compose.yml mounts as secrets, in deploy/secrets/ (or the folder given).
#
# A file that is there is left as it is, so run it as often as you like: put Stripe's own signing secrets into
# stripe_webhook_secrets (comma separated, two while one is being rotated) and your key of its API into stripe_api_key,
# and they stay.  Until then no webhook is believed, and what is to be asked of Stripe waits.
#
# Compose mounts a secret with the owner and mode that its file has on the host, and the processes run as users that the
# host does not know.  So the files can be read by anybody who gets at them, and only you get into their folder.
set -eu

folder="${1:-"$(dirname "$0")/secrets"}"
umask 077
mkdir -p "$folder"
chmod 0700 "$folder"

random() {
    od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n'
}

# keep NAME VALUE: whole or not at all, whatever happens meanwhile.
keep() {
    if [ -e "$folder/$1" ]; then
        return
    fi
    printf '%s' "$2" >"$folder/.$1.new"
    chmod 0444 "$folder/.$1.new"
    mv "$folder/.$1.new" "$folder/$1"
    echo "made $folder/$1"
}

url_of() {
    printf 'postgresql://%s:%s@postgres:5432/billing' "$1" "$(cat "$folder/$1_password")"
}

keep postgres_password "$(random)"
keep billing_owner_password "$(random)"
keep billing_app_password "$(random)"
keep billing_reader_password "$(random)"
keep database_url_owner "$(url_of billing_owner)"
keep database_url_app "$(url_of billing_app)"
keep stripe_webhook_secrets "whsec_$(random)"
keep stripe_api_key "sk_test_$(random)"
