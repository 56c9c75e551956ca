-- Checksums of rows, so that a disk that gives back other bytes than it was given is found out. NULL in
-- rows that an older version wrote: those are taken as they are, until they are written again.

alter table deliveries add column answer_sum integer;   -- id, events, answer
alter table deliveries add column body_sum integer;     -- id, headers, body
alter table events add column sum integer;              -- all columns before it, in their order
alter table jobs add column sum integer;                -- likewise
alter table twins add column sum integer;               -- likewise
alter table names add column sum integer;               -- likewise
alter table meta add column sum integer;                -- likewise

update names set sum = checksum(id, name);
update meta set sum = checksum(name, value);
