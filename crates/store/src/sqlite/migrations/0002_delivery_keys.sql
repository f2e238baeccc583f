-- To which keys of its own a reader's symmetric keys are wrapped: its signed statement.

ALTER TABLE reader ADD COLUMN delivery_keys BLOB;
