-- Dedupe keys that outlive their events: a captured request whose signature holds no time can be sent
-- again after its event was purged. In the order of the purge, so that the oldest are found without
-- an index of their own.

create table purged_keys (
    id    integer primary key,
    hash  blob not null,
    event integer not null,         -- the `seq` of the purged event
    at    integer not null,         -- when that event was received
    sum   integer not null          -- hash, event, at
) strict;
create index purged_keys_by_hash on purged_keys (hash);
