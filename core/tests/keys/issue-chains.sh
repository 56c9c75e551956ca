#!/bin/sh
# Issues certificates for tests of trusted issuers, all for the public key of one certificate:
#
#   sh issue-chains.sh CERTIFICATE DIRECTORY NAME
#
# CERTIFICATE is a self-signed certificate whose key signed the test vectors of a provider, so that
# their signatures verify under the new ones. NAME is the host name that a genuine leaf has. The keys
# of the authorities are thrown away.
set -eu
certificate=$(realpath "$1"); name=$3
mkdir -p "$2"; out=$(realpath "$2")
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
touch index.txt index.txt.attr; echo 1000 > serial

cat > ca.conf <<EOF
[ca]
default_ca = defaults
[defaults]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
unique_subject = no
policy = any
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
[leaf]
basicConstraints = critical, CA:false
extendedKeyUsage = serverAuth
subjectAltName = DNS:$name
[other]
basicConstraints = critical, CA:false
extendedKeyUsage = serverAuth
subjectAltName = DNS:other.example.com
EOF
key() { openssl genrsa -out "$1.key" 2048 2>/dev/null; }
request() { openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"; }
# issue ISSUER OUT EXTENSIONS START END INPUT...: a certificate by an issuer's certificate and key.
issue() {
  cert=$1.pem; key=$1.key; file=$2; section=$3; start=$4; end=$5; shift 5
  openssl ca -batch -notext -config ca.conf -cert "$cert" -keyfile "$key" -extensions "$section" \
    -startdate "$start" -enddate "$end" -out "$file.pem" "$@" 2>/dev/null
}
from=20250101000000Z; until=20550101000000Z
before=20200101000000Z; expired=20250901000000Z

key root; request root "Test root"
openssl ca -batch -notext -selfsign -config ca.conf -keyfile root.key -extensions authority \
  -startdate "$before" -enddate "$until" -out root.pem -in root.csr 2>/dev/null
key issuer; request issuer "Test issuer"
issue root issuer authority "$from" "$until" -in issuer.csr
issue root expired-issuer authority "$before" "$expired" -in issuer.csr
# The same name, another key.
key foreign-issuer; request foreign-issuer "Test issuer"
openssl ca -batch -notext -selfsign -config ca.conf -keyfile foreign-issuer.key \
  -extensions authority -startdate "$from" -enddate "$until" -out foreign-issuer.pem \
  -in foreign-issuer.csr 2>/dev/null

issue issuer leaf leaf "$from" "$until" -ss_cert "$certificate"
issue issuer expired-leaf leaf "$before" "$expired" -ss_cert "$certificate"
issue issuer other-name other "$from" "$until" -ss_cert "$certificate"
issue foreign-issuer foreign-leaf leaf "$from" "$until" -ss_cert "$certificate"
cp ./root.pem issuer.pem expired-issuer.pem foreign-issuer.pem leaf.pem expired-leaf.pem \
  other-name.pem foreign-leaf.pem "$out"
