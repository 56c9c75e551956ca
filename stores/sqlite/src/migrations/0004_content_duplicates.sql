-- The table of content duplicates: deliveries that repeat an event by their bytes alone. Only its
-- name changes; its rows and their checksums stay valid.

alter table twins rename to content_duplicates;
