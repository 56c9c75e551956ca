-- A random number that tells this store from every other one. The file beside the database that says
-- how far the store was committed names it, so that a file of another store is found.

insert or ignore into meta (name, value) values ('store_id', random());
update meta set sum = checksum(name, value) where name = 'store_id';
