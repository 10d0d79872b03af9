CREATE DATABASE IF NOT EXISTS `weir`;

CREATE TABLE IF NOT EXISTS `weir`.`activities` (
    `app` LowCardinality(String),
    `instance` LowCardinality(String),
    `tenant` LowCardinality(String),
    `observed_at` DateTime64(3, 'UTC'),
    `version` Int64,
    `batch_id` String,
    `event_id` String,
    `time` DateTime64(3, 'UTC'),
    `kind` LowCardinality(String),
    `action` LowCardinality(String),
    `access` LowCardinality(String),
    `outcome` LowCardinality(String),
    `error_code` LowCardinality(String),
    `reason` String,
    `actor_id` String,
    `actor_name` String,
    `actor_email` String,
    `actor_kind` LowCardinality(String),
    `effective_id` String,
    `effective_name` String,
    `credential_id` String,
    `mfa` Nullable(Bool),
    `target_id` String,
    `target_name` String,
    `target_kind` LowCardinality(String),
    `target_ids` Array(String),
    `target_names` Array(String),
    `target_kinds` Array(String),
    `target_count` Int32,
    `change_names` Array(String),
    `change_old` Array(String),
    `change_new` Array(String),
    `src_ip` String,
    `src_host` String,
    `ips` Array(String),
    `country` LowCardinality(String),
    `city` String,
    `asn` Nullable(Int64),
    `user_agent` String,
    `session_id` String,
    `device_id` String,
    `request_id` String,
    `client_app_id` String,
    `client_app_name` LowCardinality(String),
    `service` LowCardinality(String),
    `region` LowCardinality(String),
    `scope_id` LowCardinality(String),
    `class_uid` Int32,
    `activity_id` Int32,
    `severity_id` Int32,
    `status_id` Int32,
    `raw` String CODEC(ZSTD(3)),
    `delivered_at` DateTime64(3, 'UTC') DEFAULT now64(3),
    `src_ip6` IPv6 MATERIALIZED toIPv6OrDefault(src_ip),
    INDEX batch_id_minmax batch_id TYPE minmax GRANULARITY 1,
    CONSTRAINT equal_targets CHECK length(target_ids) = length(target_names) AND length(target_ids) = length(target_kinds),
    CONSTRAINT equal_changes CHECK length(change_names) = length(change_old) AND length(change_names) = length(change_new)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(time)
ORDER BY (app, instance, toDate(time), service, action, actor_id, event_id)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `weir`.`accounts_log` (
    `app` LowCardinality(String),
    `instance` LowCardinality(String),
    `tenant` LowCardinality(String),
    `observed_at` DateTime64(3, 'UTC'),
    `version` Int64,
    `batch_id` String,
    `change` LowCardinality(String),
    `changed_fields` Array(String),
    `removed_reason` LowCardinality(String),
    `not_asked` Array(String),
    `scan_id` String,
    `account_id` String,
    `alias_ids` Array(String),
    `login` String,
    `email` String,
    `emails` Array(String),
    `email_verified` Nullable(Bool),
    `display_name` String,
    `status` LowCardinality(String),
    `kind` LowCardinality(String),
    `is_admin` Nullable(Bool),
    `mfa_enabled` Nullable(Bool),
    `external` Nullable(Bool),
    `created_at` Nullable(DateTime64(3, 'UTC')),
    `modified_at` Nullable(DateTime64(3, 'UTC')),
    `last_login_at` Nullable(DateTime64(3, 'UTC')),
    `password_changed_at` Nullable(DateTime64(3, 'UTC')),
    `title` String,
    `department` String,
    `manager_id` String,
    `org_unit` String,
    `raw` String CODEC(ZSTD(3)),
    `delivered_at` DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX batch_id_minmax batch_id TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(observed_at)
ORDER BY (instance, account_id, version)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `weir`.`groups_log` (
    `app` LowCardinality(String),
    `instance` LowCardinality(String),
    `tenant` LowCardinality(String),
    `observed_at` DateTime64(3, 'UTC'),
    `version` Int64,
    `batch_id` String,
    `change` LowCardinality(String),
    `changed_fields` Array(String),
    `removed_reason` LowCardinality(String),
    `not_asked` Array(String),
    `scan_id` String,
    `group_id` String,
    `alias_ids` Array(String),
    `name` String,
    `kind` LowCardinality(String),
    `email` String,
    `description` String,
    `external_members` Nullable(Bool),
    `created_at` Nullable(DateTime64(3, 'UTC')),
    `modified_at` Nullable(DateTime64(3, 'UTC')),
    `raw` String CODEC(ZSTD(3)),
    `delivered_at` DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX batch_id_minmax batch_id TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(observed_at)
ORDER BY (instance, group_id, version)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `weir`.`group_members_log` (
    `app` LowCardinality(String),
    `instance` LowCardinality(String),
    `tenant` LowCardinality(String),
    `observed_at` DateTime64(3, 'UTC'),
    `version` Int64,
    `batch_id` String,
    `change` LowCardinality(String),
    `changed_fields` Array(String),
    `removed_reason` LowCardinality(String),
    `not_asked` Array(String),
    `scan_id` String,
    `group_id` String,
    `member_id` String,
    `member_kind` LowCardinality(String),
    `role` LowCardinality(String),
    `delivered_at` DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX batch_id_minmax batch_id TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(observed_at)
ORDER BY (instance, group_id, member_id, role, version)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `weir`.`privileges_log` (
    `app` LowCardinality(String),
    `instance` LowCardinality(String),
    `tenant` LowCardinality(String),
    `observed_at` DateTime64(3, 'UTC'),
    `version` Int64,
    `batch_id` String,
    `change` LowCardinality(String),
    `changed_fields` Array(String),
    `removed_reason` LowCardinality(String),
    `not_asked` Array(String),
    `scan_id` String,
    `privilege_id` String,
    `principal_id` String,
    `principal_kind` LowCardinality(String),
    `role_id` String,
    `role_name` String,
    `scope` String,
    `scope_kind` LowCardinality(String),
    `via` LowCardinality(String),
    `via_id` String,
    `state` LowCardinality(String),
    `condition` String,
    `assigned_at` Nullable(DateTime64(3, 'UTC')),
    `expires_at` Nullable(DateTime64(3, 'UTC')),
    `privileged` Nullable(Bool),
    `raw` String CODEC(ZSTD(3)),
    `delivered_at` DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX batch_id_minmax batch_id TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(observed_at)
ORDER BY (instance, privilege_id, version)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `weir`.`files_log` (
    `app` LowCardinality(String),
    `instance` LowCardinality(String),
    `tenant` LowCardinality(String),
    `observed_at` DateTime64(3, 'UTC'),
    `version` Int64,
    `batch_id` String,
    `change` LowCardinality(String),
    `changed_fields` Array(String),
    `removed_reason` LowCardinality(String),
    `not_asked` Array(String),
    `scan_id` String,
    `file_id` String,
    `alias_ids` Array(String),
    `kind` LowCardinality(String),
    `name` String,
    `path` String,
    `parent_id` String,
    `container_id` String,
    `container_name` String,
    `container_kind` LowCardinality(String),
    `owner_id` String,
    `size` Nullable(Int64),
    `mime_type` LowCardinality(String),
    `hash` String,
    `hash_algorithm` LowCardinality(String),
    `labels` Array(String),
    `revision` String,
    `created_at` Nullable(DateTime64(3, 'UTC')),
    `modified_at` Nullable(DateTime64(3, 'UTC')),
    `modified_by` String,
    `trashed` Nullable(Bool),
    `trashed_at` Nullable(DateTime64(3, 'UTC')),
    `sharing` LowCardinality(String),
    `web_url` String,
    `raw` String CODEC(ZSTD(3)),
    `delivered_at` DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX batch_id_minmax batch_id TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(observed_at)
ORDER BY (instance, file_id, version)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `weir`.`file_permissions_log` (
    `app` LowCardinality(String),
    `instance` LowCardinality(String),
    `tenant` LowCardinality(String),
    `observed_at` DateTime64(3, 'UTC'),
    `version` Int64,
    `batch_id` String,
    `change` LowCardinality(String),
    `changed_fields` Array(String),
    `removed_reason` LowCardinality(String),
    `not_asked` Array(String),
    `scan_id` String,
    `file_id` String,
    `permission_id` String,
    `grantee_id` String,
    `grantee_kind` LowCardinality(String),
    `grantee_email` String,
    `role` LowCardinality(String),
    `link_scope` LowCardinality(String),
    `inherited` Nullable(Bool),
    `expires_at` Nullable(DateTime64(3, 'UTC')),
    `last_used_at` Nullable(DateTime64(3, 'UTC')),
    `raw` String CODEC(ZSTD(3)),
    `delivered_at` DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX batch_id_minmax batch_id TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(observed_at)
ORDER BY (instance, file_id, permission_id, version)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `weir`.`apps_log` (
    `app` LowCardinality(String),
    `instance` LowCardinality(String),
    `tenant` LowCardinality(String),
    `observed_at` DateTime64(3, 'UTC'),
    `version` Int64,
    `batch_id` String,
    `change` LowCardinality(String),
    `changed_fields` Array(String),
    `removed_reason` LowCardinality(String),
    `not_asked` Array(String),
    `scan_id` String,
    `app_id` String,
    `alias_ids` Array(String),
    `name` String,
    `publisher` String,
    `verified` Nullable(Bool),
    `owner_tenant` String,
    `first_party` Nullable(Bool),
    `kind` LowCardinality(String),
    `status` LowCardinality(String),
    `created_at` Nullable(DateTime64(3, 'UTC')),
    `redirect_uris` Array(String),
    `secret_ids` Array(String),
    `secret_expires_at` Array(String),
    `raw` String CODEC(ZSTD(3)),
    `delivered_at` DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX batch_id_minmax batch_id TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(observed_at)
ORDER BY (instance, app_id, version)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `weir`.`app_grants_log` (
    `app` LowCardinality(String),
    `instance` LowCardinality(String),
    `tenant` LowCardinality(String),
    `observed_at` DateTime64(3, 'UTC'),
    `version` Int64,
    `batch_id` String,
    `change` LowCardinality(String),
    `changed_fields` Array(String),
    `removed_reason` LowCardinality(String),
    `not_asked` Array(String),
    `scan_id` String,
    `grant_id` String,
    `kind` LowCardinality(String),
    `app_id` String,
    `app_name` String,
    `publisher` String,
    `principal_id` String,
    `principal_kind` LowCardinality(String),
    `scopes` Array(String),
    `resource` String,
    `consent` LowCardinality(String),
    `status` LowCardinality(String),
    `high_privilege` Nullable(Bool),
    `created_at` Nullable(DateTime64(3, 'UTC')),
    `last_used_at` Nullable(DateTime64(3, 'UTC')),
    `expires_at` Nullable(DateTime64(3, 'UTC')),
    `raw` String CODEC(ZSTD(3)),
    `delivered_at` DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX batch_id_minmax batch_id TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(observed_at)
ORDER BY (instance, grant_id, version)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `weir`.`collection_runs` (
    `app` LowCardinality(String),
    `instance` LowCardinality(String),
    `tenant` LowCardinality(String),
    `observed_at` DateTime64(3, 'UTC'),
    `version` Int64,
    `batch_id` String,
    `stream` LowCardinality(String),
    `run_id` String,
    `mode` LowCardinality(String),
    `lanes` Int64,
    `lanes_failed` Int64,
    `started_at` DateTime64(3, 'UTC'),
    `finished_at` DateTime64(3, 'UTC'),
    `covered_from` Nullable(DateTime64(3, 'UTC')),
    `covered_to` Nullable(DateTime64(3, 'UTC')),
    `pages` Int64,
    `rows` Int64,
    `duplicates_dropped` Int64,
    `id_conflicts` Int64,
    `unproven` Int64,
    `late_rows` Int64,
    `rejected` Int64,
    `requests` Int64,
    `retries` Int64,
    `throttled_ms` Int64,
    `bytes` Int64,
    `outcome` LowCardinality(String),
    `error` String,
    `delivered_at` DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX batch_id_minmax batch_id TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (instance, stream, started_at, run_id)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `weir`.`action_log` (
    `app` LowCardinality(String),
    `instance` LowCardinality(String),
    `tenant` LowCardinality(String),
    `observed_at` DateTime64(3, 'UTC'),
    `version` Int64,
    `batch_id` String,
    `chain` LowCardinality(String),
    `seq` Int64,
    `at` DateTime64(3, 'UTC'),
    `action_id` String,
    `event` LowCardinality(String),
    `state` LowCardinality(String),
    `detail` String,
    `action` LowCardinality(String),
    `target_kind` LowCardinality(String),
    `target_id` String,
    `target_name` String,
    `step` String,
    `ref` String,
    `principal` LowCardinality(String),
    `db_user` LowCardinality(String),
    `via` LowCardinality(String),
    `request_hash` String,
    `plan_hash` String,
    `diff` Array(String),
    `limits` Array(String),
    `dry_run` Nullable(Bool),
    `reason` String,
    `change_ref` String,
    `prev_hash` String,
    `hash` String,
    `delivered_at` DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX batch_id_minmax batch_id TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (instance, chain, seq, version)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `weir`.`actions` (
    `id` String,
    `instance` LowCardinality(String),
    `action` LowCardinality(String),
    `target_kind` LowCardinality(String),
    `target_id` String,
    `params` String,
    `reason` String,
    `change_ref` String,
    `requested_by` String,
    `not_before` Nullable(DateTime64(3, 'UTC')),
    `not_after` Nullable(DateTime64(3, 'UTC')),
    `dry_run` Nullable(Bool),
    `signature` String,
    `db_user` LowCardinality(String) MATERIALIZED currentUser(),
    `received_at` DateTime64(3, 'UTC') MATERIALIZED now64(3)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (received_at, id);

CREATE TABLE IF NOT EXISTS `weir`.`action_approvals` (
    `action_id` String,
    `request_hash` String,
    `plan_hash` String,
    `decision` LowCardinality(String),
    `reason` String,
    `signature` String,
    `db_user` LowCardinality(String) MATERIALIZED currentUser(),
    `received_at` DateTime64(3, 'UTC') MATERIALIZED now64(3)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (received_at, action_id);

CREATE OR REPLACE VIEW `weir`.`accounts` AS
SELECT
    r.`app` AS `app`,
    r.`instance` AS `instance`,
    r.`tenant` AS `tenant`,
    r.`observed_at` AS `observed_at`,
    r.`version` AS `version`,
    r.`batch_id` AS `batch_id`,
    r.`change` AS `change`,
    r.`changed_fields` AS `changed_fields`,
    r.`removed_reason` AS `removed_reason`,
    r.`not_asked` AS `not_asked`,
    r.`scan_id` AS `scan_id`,
    r.`account_id` AS `account_id`,
    if(has(r.not_asked, 'alias_ids'), o.`alias_ids`, r.`alias_ids`) AS `alias_ids`,
    if(has(r.not_asked, 'login'), o.`login`, r.`login`) AS `login`,
    if(has(r.not_asked, 'email'), o.`email`, r.`email`) AS `email`,
    if(has(r.not_asked, 'emails'), o.`emails`, r.`emails`) AS `emails`,
    if(has(r.not_asked, 'email_verified'), o.`email_verified`, r.`email_verified`) AS `email_verified`,
    if(has(r.not_asked, 'display_name'), o.`display_name`, r.`display_name`) AS `display_name`,
    if(has(r.not_asked, 'status'), o.`status`, r.`status`) AS `status`,
    if(has(r.not_asked, 'kind'), o.`kind`, r.`kind`) AS `kind`,
    if(has(r.not_asked, 'is_admin'), o.`is_admin`, r.`is_admin`) AS `is_admin`,
    if(has(r.not_asked, 'mfa_enabled'), o.`mfa_enabled`, r.`mfa_enabled`) AS `mfa_enabled`,
    if(has(r.not_asked, 'external'), o.`external`, r.`external`) AS `external`,
    if(has(r.not_asked, 'created_at'), o.`created_at`, r.`created_at`) AS `created_at`,
    if(has(r.not_asked, 'modified_at'), o.`modified_at`, r.`modified_at`) AS `modified_at`,
    if(has(r.not_asked, 'last_login_at'), o.`last_login_at`, r.`last_login_at`) AS `last_login_at`,
    if(has(r.not_asked, 'password_changed_at'), o.`password_changed_at`, r.`password_changed_at`) AS `password_changed_at`,
    if(has(r.not_asked, 'title'), o.`title`, r.`title`) AS `title`,
    if(has(r.not_asked, 'department'), o.`department`, r.`department`) AS `department`,
    if(has(r.not_asked, 'manager_id'), o.`manager_id`, r.`manager_id`) AS `manager_id`,
    if(has(r.not_asked, 'org_unit'), o.`org_unit`, r.`org_unit`) AS `org_unit`,
    if(has(r.not_asked, 'raw'), o.`raw`, r.`raw`) AS `raw`,
    r.`delivered_at` AS `delivered_at`
FROM
(
    SELECT * FROM `weir`.`accounts_log`
    WHERE (version, sipHash64(`instance`, `account_id`)) IN
    (
        SELECT version, sipHash64(`instance`, `account_id`) FROM
        (
            SELECT `instance`, `account_id`, version, change FROM `weir`.`accounts_log`
            ORDER BY `instance` DESC, `account_id` DESC, version DESC
            LIMIT 1 BY `instance`, `account_id`
        )
        WHERE change <> 'removed'
    )
    LIMIT 1 BY `instance`, `account_id`
) AS r
LEFT ANY JOIN
(
    SELECT `instance`, `account_id`,
        argMaxIf(tuple(l.`alias_ids`), l.version, NOT has(l.not_asked, 'alias_ids')).1 AS `alias_ids`,
        argMaxIf(tuple(l.`login`), l.version, NOT has(l.not_asked, 'login')).1 AS `login`,
        argMaxIf(tuple(l.`email`), l.version, NOT has(l.not_asked, 'email')).1 AS `email`,
        argMaxIf(tuple(l.`emails`), l.version, NOT has(l.not_asked, 'emails')).1 AS `emails`,
        argMaxIf(tuple(l.`email_verified`), l.version, NOT has(l.not_asked, 'email_verified')).1 AS `email_verified`,
        argMaxIf(tuple(l.`display_name`), l.version, NOT has(l.not_asked, 'display_name')).1 AS `display_name`,
        argMaxIf(tuple(l.`status`), l.version, NOT has(l.not_asked, 'status')).1 AS `status`,
        argMaxIf(tuple(l.`kind`), l.version, NOT has(l.not_asked, 'kind')).1 AS `kind`,
        argMaxIf(tuple(l.`is_admin`), l.version, NOT has(l.not_asked, 'is_admin')).1 AS `is_admin`,
        argMaxIf(tuple(l.`mfa_enabled`), l.version, NOT has(l.not_asked, 'mfa_enabled')).1 AS `mfa_enabled`,
        argMaxIf(tuple(l.`external`), l.version, NOT has(l.not_asked, 'external')).1 AS `external`,
        argMaxIf(tuple(l.`created_at`), l.version, NOT has(l.not_asked, 'created_at')).1 AS `created_at`,
        argMaxIf(tuple(l.`modified_at`), l.version, NOT has(l.not_asked, 'modified_at')).1 AS `modified_at`,
        argMaxIf(tuple(l.`last_login_at`), l.version, NOT has(l.not_asked, 'last_login_at')).1 AS `last_login_at`,
        argMaxIf(tuple(l.`password_changed_at`), l.version, NOT has(l.not_asked, 'password_changed_at')).1 AS `password_changed_at`,
        argMaxIf(tuple(l.`title`), l.version, NOT has(l.not_asked, 'title')).1 AS `title`,
        argMaxIf(tuple(l.`department`), l.version, NOT has(l.not_asked, 'department')).1 AS `department`,
        argMaxIf(tuple(l.`manager_id`), l.version, NOT has(l.not_asked, 'manager_id')).1 AS `manager_id`,
        argMaxIf(tuple(l.`org_unit`), l.version, NOT has(l.not_asked, 'org_unit')).1 AS `org_unit`,
        argMaxIf(tuple(l.`raw`), l.version, NOT has(l.not_asked, 'raw')).1 AS `raw`
    FROM `weir`.`accounts_log` AS l
    WHERE l.change <> 'removed' AND (`instance`, `account_id`) IN (SELECT `instance`, `account_id` FROM `weir`.`accounts_log` WHERE notEmpty(not_asked))
    GROUP BY `instance`, `account_id`
) AS o ON r.`instance` = o.`instance` AND r.`account_id` = o.`account_id`
COMMENT 'Weir: current rows of accounts_log (a47c4ce7f274aa60)';

CREATE OR REPLACE VIEW `weir`.`groups` AS
SELECT
    r.`app` AS `app`,
    r.`instance` AS `instance`,
    r.`tenant` AS `tenant`,
    r.`observed_at` AS `observed_at`,
    r.`version` AS `version`,
    r.`batch_id` AS `batch_id`,
    r.`change` AS `change`,
    r.`changed_fields` AS `changed_fields`,
    r.`removed_reason` AS `removed_reason`,
    r.`not_asked` AS `not_asked`,
    r.`scan_id` AS `scan_id`,
    r.`group_id` AS `group_id`,
    if(has(r.not_asked, 'alias_ids'), o.`alias_ids`, r.`alias_ids`) AS `alias_ids`,
    if(has(r.not_asked, 'name'), o.`name`, r.`name`) AS `name`,
    if(has(r.not_asked, 'kind'), o.`kind`, r.`kind`) AS `kind`,
    if(has(r.not_asked, 'email'), o.`email`, r.`email`) AS `email`,
    if(has(r.not_asked, 'description'), o.`description`, r.`description`) AS `description`,
    if(has(r.not_asked, 'external_members'), o.`external_members`, r.`external_members`) AS `external_members`,
    if(has(r.not_asked, 'created_at'), o.`created_at`, r.`created_at`) AS `created_at`,
    if(has(r.not_asked, 'modified_at'), o.`modified_at`, r.`modified_at`) AS `modified_at`,
    if(has(r.not_asked, 'raw'), o.`raw`, r.`raw`) AS `raw`,
    r.`delivered_at` AS `delivered_at`
FROM
(
    SELECT * FROM `weir`.`groups_log`
    WHERE (version, sipHash64(`instance`, `group_id`)) IN
    (
        SELECT version, sipHash64(`instance`, `group_id`) FROM
        (
            SELECT `instance`, `group_id`, version, change FROM `weir`.`groups_log`
            ORDER BY `instance` DESC, `group_id` DESC, version DESC
            LIMIT 1 BY `instance`, `group_id`
        )
        WHERE change <> 'removed'
    )
    LIMIT 1 BY `instance`, `group_id`
) AS r
LEFT ANY JOIN
(
    SELECT `instance`, `group_id`,
        argMaxIf(tuple(l.`alias_ids`), l.version, NOT has(l.not_asked, 'alias_ids')).1 AS `alias_ids`,
        argMaxIf(tuple(l.`name`), l.version, NOT has(l.not_asked, 'name')).1 AS `name`,
        argMaxIf(tuple(l.`kind`), l.version, NOT has(l.not_asked, 'kind')).1 AS `kind`,
        argMaxIf(tuple(l.`email`), l.version, NOT has(l.not_asked, 'email')).1 AS `email`,
        argMaxIf(tuple(l.`description`), l.version, NOT has(l.not_asked, 'description')).1 AS `description`,
        argMaxIf(tuple(l.`external_members`), l.version, NOT has(l.not_asked, 'external_members')).1 AS `external_members`,
        argMaxIf(tuple(l.`created_at`), l.version, NOT has(l.not_asked, 'created_at')).1 AS `created_at`,
        argMaxIf(tuple(l.`modified_at`), l.version, NOT has(l.not_asked, 'modified_at')).1 AS `modified_at`,
        argMaxIf(tuple(l.`raw`), l.version, NOT has(l.not_asked, 'raw')).1 AS `raw`
    FROM `weir`.`groups_log` AS l
    WHERE l.change <> 'removed' AND (`instance`, `group_id`) IN (SELECT `instance`, `group_id` FROM `weir`.`groups_log` WHERE notEmpty(not_asked))
    GROUP BY `instance`, `group_id`
) AS o ON r.`instance` = o.`instance` AND r.`group_id` = o.`group_id`
COMMENT 'Weir: current rows of groups_log (d4ee4b50bef906bc)';

CREATE OR REPLACE VIEW `weir`.`group_members` AS
SELECT
    r.`app` AS `app`,
    r.`instance` AS `instance`,
    r.`tenant` AS `tenant`,
    r.`observed_at` AS `observed_at`,
    r.`version` AS `version`,
    r.`batch_id` AS `batch_id`,
    r.`change` AS `change`,
    r.`changed_fields` AS `changed_fields`,
    r.`removed_reason` AS `removed_reason`,
    r.`not_asked` AS `not_asked`,
    r.`scan_id` AS `scan_id`,
    r.`group_id` AS `group_id`,
    r.`member_id` AS `member_id`,
    if(has(r.not_asked, 'member_kind'), o.`member_kind`, r.`member_kind`) AS `member_kind`,
    r.`role` AS `role`,
    r.`delivered_at` AS `delivered_at`
FROM
(
    SELECT * FROM `weir`.`group_members_log`
    WHERE (version, sipHash64(`instance`, `group_id`, `member_id`, `role`)) IN
    (
        SELECT version, sipHash64(`instance`, `group_id`, `member_id`, `role`) FROM
        (
            SELECT `instance`, `group_id`, `member_id`, `role`, version, change FROM `weir`.`group_members_log`
            ORDER BY `instance` DESC, `group_id` DESC, `member_id` DESC, `role` DESC, version DESC
            LIMIT 1 BY `instance`, `group_id`, `member_id`, `role`
        )
        WHERE change <> 'removed'
    )
    LIMIT 1 BY `instance`, `group_id`, `member_id`, `role`
) AS r
LEFT ANY JOIN
(
    SELECT `instance`, `group_id`, `member_id`, `role`,
        argMaxIf(tuple(l.`member_kind`), l.version, NOT has(l.not_asked, 'member_kind')).1 AS `member_kind`
    FROM `weir`.`group_members_log` AS l
    WHERE l.change <> 'removed' AND (`instance`, `group_id`, `member_id`, `role`) IN (SELECT `instance`, `group_id`, `member_id`, `role` FROM `weir`.`group_members_log` WHERE notEmpty(not_asked))
    GROUP BY `instance`, `group_id`, `member_id`, `role`
) AS o ON r.`instance` = o.`instance` AND r.`group_id` = o.`group_id` AND r.`member_id` = o.`member_id` AND r.`role` = o.`role`
COMMENT 'Weir: current rows of group_members_log (75f638fbc85430b9)';

CREATE OR REPLACE VIEW `weir`.`privileges` AS
SELECT
    r.`app` AS `app`,
    r.`instance` AS `instance`,
    r.`tenant` AS `tenant`,
    r.`observed_at` AS `observed_at`,
    r.`version` AS `version`,
    r.`batch_id` AS `batch_id`,
    r.`change` AS `change`,
    r.`changed_fields` AS `changed_fields`,
    r.`removed_reason` AS `removed_reason`,
    r.`not_asked` AS `not_asked`,
    r.`scan_id` AS `scan_id`,
    r.`privilege_id` AS `privilege_id`,
    if(has(r.not_asked, 'principal_id'), o.`principal_id`, r.`principal_id`) AS `principal_id`,
    if(has(r.not_asked, 'principal_kind'), o.`principal_kind`, r.`principal_kind`) AS `principal_kind`,
    if(has(r.not_asked, 'role_id'), o.`role_id`, r.`role_id`) AS `role_id`,
    if(has(r.not_asked, 'role_name'), o.`role_name`, r.`role_name`) AS `role_name`,
    if(has(r.not_asked, 'scope'), o.`scope`, r.`scope`) AS `scope`,
    if(has(r.not_asked, 'scope_kind'), o.`scope_kind`, r.`scope_kind`) AS `scope_kind`,
    if(has(r.not_asked, 'via'), o.`via`, r.`via`) AS `via`,
    if(has(r.not_asked, 'via_id'), o.`via_id`, r.`via_id`) AS `via_id`,
    if(has(r.not_asked, 'state'), o.`state`, r.`state`) AS `state`,
    if(has(r.not_asked, 'condition'), o.`condition`, r.`condition`) AS `condition`,
    if(has(r.not_asked, 'assigned_at'), o.`assigned_at`, r.`assigned_at`) AS `assigned_at`,
    if(has(r.not_asked, 'expires_at'), o.`expires_at`, r.`expires_at`) AS `expires_at`,
    if(has(r.not_asked, 'privileged'), o.`privileged`, r.`privileged`) AS `privileged`,
    if(has(r.not_asked, 'raw'), o.`raw`, r.`raw`) AS `raw`,
    r.`delivered_at` AS `delivered_at`
FROM
(
    SELECT * FROM `weir`.`privileges_log`
    WHERE (version, sipHash64(`instance`, `privilege_id`)) IN
    (
        SELECT version, sipHash64(`instance`, `privilege_id`) FROM
        (
            SELECT `instance`, `privilege_id`, version, change FROM `weir`.`privileges_log`
            ORDER BY `instance` DESC, `privilege_id` DESC, version DESC
            LIMIT 1 BY `instance`, `privilege_id`
        )
        WHERE change <> 'removed'
    )
    LIMIT 1 BY `instance`, `privilege_id`
) AS r
LEFT ANY JOIN
(
    SELECT `instance`, `privilege_id`,
        argMaxIf(tuple(l.`principal_id`), l.version, NOT has(l.not_asked, 'principal_id')).1 AS `principal_id`,
        argMaxIf(tuple(l.`principal_kind`), l.version, NOT has(l.not_asked, 'principal_kind')).1 AS `principal_kind`,
        argMaxIf(tuple(l.`role_id`), l.version, NOT has(l.not_asked, 'role_id')).1 AS `role_id`,
        argMaxIf(tuple(l.`role_name`), l.version, NOT has(l.not_asked, 'role_name')).1 AS `role_name`,
        argMaxIf(tuple(l.`scope`), l.version, NOT has(l.not_asked, 'scope')).1 AS `scope`,
        argMaxIf(tuple(l.`scope_kind`), l.version, NOT has(l.not_asked, 'scope_kind')).1 AS `scope_kind`,
        argMaxIf(tuple(l.`via`), l.version, NOT has(l.not_asked, 'via')).1 AS `via`,
        argMaxIf(tuple(l.`via_id`), l.version, NOT has(l.not_asked, 'via_id')).1 AS `via_id`,
        argMaxIf(tuple(l.`state`), l.version, NOT has(l.not_asked, 'state')).1 AS `state`,
        argMaxIf(tuple(l.`condition`), l.version, NOT has(l.not_asked, 'condition')).1 AS `condition`,
        argMaxIf(tuple(l.`assigned_at`), l.version, NOT has(l.not_asked, 'assigned_at')).1 AS `assigned_at`,
        argMaxIf(tuple(l.`expires_at`), l.version, NOT has(l.not_asked, 'expires_at')).1 AS `expires_at`,
        argMaxIf(tuple(l.`privileged`), l.version, NOT has(l.not_asked, 'privileged')).1 AS `privileged`,
        argMaxIf(tuple(l.`raw`), l.version, NOT has(l.not_asked, 'raw')).1 AS `raw`
    FROM `weir`.`privileges_log` AS l
    WHERE l.change <> 'removed' AND (`instance`, `privilege_id`) IN (SELECT `instance`, `privilege_id` FROM `weir`.`privileges_log` WHERE notEmpty(not_asked))
    GROUP BY `instance`, `privilege_id`
) AS o ON r.`instance` = o.`instance` AND r.`privilege_id` = o.`privilege_id`
COMMENT 'Weir: current rows of privileges_log (af564d8157c10b4f)';

CREATE OR REPLACE VIEW `weir`.`files` AS
SELECT
    r.`app` AS `app`,
    r.`instance` AS `instance`,
    r.`tenant` AS `tenant`,
    r.`observed_at` AS `observed_at`,
    r.`version` AS `version`,
    r.`batch_id` AS `batch_id`,
    r.`change` AS `change`,
    r.`changed_fields` AS `changed_fields`,
    r.`removed_reason` AS `removed_reason`,
    r.`not_asked` AS `not_asked`,
    r.`scan_id` AS `scan_id`,
    r.`file_id` AS `file_id`,
    if(has(r.not_asked, 'alias_ids'), o.`alias_ids`, r.`alias_ids`) AS `alias_ids`,
    if(has(r.not_asked, 'kind'), o.`kind`, r.`kind`) AS `kind`,
    if(has(r.not_asked, 'name'), o.`name`, r.`name`) AS `name`,
    if(has(r.not_asked, 'path'), o.`path`, r.`path`) AS `path`,
    if(has(r.not_asked, 'parent_id'), o.`parent_id`, r.`parent_id`) AS `parent_id`,
    if(has(r.not_asked, 'container_id'), o.`container_id`, r.`container_id`) AS `container_id`,
    if(has(r.not_asked, 'container_name'), o.`container_name`, r.`container_name`) AS `container_name`,
    if(has(r.not_asked, 'container_kind'), o.`container_kind`, r.`container_kind`) AS `container_kind`,
    if(has(r.not_asked, 'owner_id'), o.`owner_id`, r.`owner_id`) AS `owner_id`,
    if(has(r.not_asked, 'size'), o.`size`, r.`size`) AS `size`,
    if(has(r.not_asked, 'mime_type'), o.`mime_type`, r.`mime_type`) AS `mime_type`,
    if(has(r.not_asked, 'hash'), o.`hash`, r.`hash`) AS `hash`,
    if(has(r.not_asked, 'hash_algorithm'), o.`hash_algorithm`, r.`hash_algorithm`) AS `hash_algorithm`,
    if(has(r.not_asked, 'labels'), o.`labels`, r.`labels`) AS `labels`,
    if(has(r.not_asked, 'revision'), o.`revision`, r.`revision`) AS `revision`,
    if(has(r.not_asked, 'created_at'), o.`created_at`, r.`created_at`) AS `created_at`,
    if(has(r.not_asked, 'modified_at'), o.`modified_at`, r.`modified_at`) AS `modified_at`,
    if(has(r.not_asked, 'modified_by'), o.`modified_by`, r.`modified_by`) AS `modified_by`,
    if(has(r.not_asked, 'trashed'), o.`trashed`, r.`trashed`) AS `trashed`,
    if(has(r.not_asked, 'trashed_at'), o.`trashed_at`, r.`trashed_at`) AS `trashed_at`,
    if(has(r.not_asked, 'sharing'), o.`sharing`, r.`sharing`) AS `sharing`,
    if(has(r.not_asked, 'web_url'), o.`web_url`, r.`web_url`) AS `web_url`,
    if(has(r.not_asked, 'raw'), o.`raw`, r.`raw`) AS `raw`,
    r.`delivered_at` AS `delivered_at`
FROM
(
    SELECT * FROM `weir`.`files_log`
    WHERE (version, sipHash64(`instance`, `file_id`)) IN
    (
        SELECT version, sipHash64(`instance`, `file_id`) FROM
        (
            SELECT `instance`, `file_id`, version, change FROM `weir`.`files_log`
            ORDER BY `instance` DESC, `file_id` DESC, version DESC
            LIMIT 1 BY `instance`, `file_id`
        )
        WHERE change <> 'removed'
    )
    LIMIT 1 BY `instance`, `file_id`
) AS r
LEFT ANY JOIN
(
    SELECT `instance`, `file_id`,
        argMaxIf(tuple(l.`alias_ids`), l.version, NOT has(l.not_asked, 'alias_ids')).1 AS `alias_ids`,
        argMaxIf(tuple(l.`kind`), l.version, NOT has(l.not_asked, 'kind')).1 AS `kind`,
        argMaxIf(tuple(l.`name`), l.version, NOT has(l.not_asked, 'name')).1 AS `name`,
        argMaxIf(tuple(l.`path`), l.version, NOT has(l.not_asked, 'path')).1 AS `path`,
        argMaxIf(tuple(l.`parent_id`), l.version, NOT has(l.not_asked, 'parent_id')).1 AS `parent_id`,
        argMaxIf(tuple(l.`container_id`), l.version, NOT has(l.not_asked, 'container_id')).1 AS `container_id`,
        argMaxIf(tuple(l.`container_name`), l.version, NOT has(l.not_asked, 'container_name')).1 AS `container_name`,
        argMaxIf(tuple(l.`container_kind`), l.version, NOT has(l.not_asked, 'container_kind')).1 AS `container_kind`,
        argMaxIf(tuple(l.`owner_id`), l.version, NOT has(l.not_asked, 'owner_id')).1 AS `owner_id`,
        argMaxIf(tuple(l.`size`), l.version, NOT has(l.not_asked, 'size')).1 AS `size`,
        argMaxIf(tuple(l.`mime_type`), l.version, NOT has(l.not_asked, 'mime_type')).1 AS `mime_type`,
        argMaxIf(tuple(l.`hash`), l.version, NOT has(l.not_asked, 'hash')).1 AS `hash`,
        argMaxIf(tuple(l.`hash_algorithm`), l.version, NOT has(l.not_asked, 'hash_algorithm')).1 AS `hash_algorithm`,
        argMaxIf(tuple(l.`labels`), l.version, NOT has(l.not_asked, 'labels')).1 AS `labels`,
        argMaxIf(tuple(l.`revision`), l.version, NOT has(l.not_asked, 'revision')).1 AS `revision`,
        argMaxIf(tuple(l.`created_at`), l.version, NOT has(l.not_asked, 'created_at')).1 AS `created_at`,
        argMaxIf(tuple(l.`modified_at`), l.version, NOT has(l.not_asked, 'modified_at')).1 AS `modified_at`,
        argMaxIf(tuple(l.`modified_by`), l.version, NOT has(l.not_asked, 'modified_by')).1 AS `modified_by`,
        argMaxIf(tuple(l.`trashed`), l.version, NOT has(l.not_asked, 'trashed')).1 AS `trashed`,
        argMaxIf(tuple(l.`trashed_at`), l.version, NOT has(l.not_asked, 'trashed_at')).1 AS `trashed_at`,
        argMaxIf(tuple(l.`sharing`), l.version, NOT has(l.not_asked, 'sharing')).1 AS `sharing`,
        argMaxIf(tuple(l.`web_url`), l.version, NOT has(l.not_asked, 'web_url')).1 AS `web_url`,
        argMaxIf(tuple(l.`raw`), l.version, NOT has(l.not_asked, 'raw')).1 AS `raw`
    FROM `weir`.`files_log` AS l
    WHERE l.change <> 'removed' AND (`instance`, `file_id`) IN (SELECT `instance`, `file_id` FROM `weir`.`files_log` WHERE notEmpty(not_asked))
    GROUP BY `instance`, `file_id`
) AS o ON r.`instance` = o.`instance` AND r.`file_id` = o.`file_id`
COMMENT 'Weir: current rows of files_log (0dbd6f5a36ad76de)';

CREATE OR REPLACE VIEW `weir`.`file_permissions` AS
SELECT
    r.`app` AS `app`,
    r.`instance` AS `instance`,
    r.`tenant` AS `tenant`,
    r.`observed_at` AS `observed_at`,
    r.`version` AS `version`,
    r.`batch_id` AS `batch_id`,
    r.`change` AS `change`,
    r.`changed_fields` AS `changed_fields`,
    r.`removed_reason` AS `removed_reason`,
    r.`not_asked` AS `not_asked`,
    r.`scan_id` AS `scan_id`,
    r.`file_id` AS `file_id`,
    r.`permission_id` AS `permission_id`,
    if(has(r.not_asked, 'grantee_id'), o.`grantee_id`, r.`grantee_id`) AS `grantee_id`,
    if(has(r.not_asked, 'grantee_kind'), o.`grantee_kind`, r.`grantee_kind`) AS `grantee_kind`,
    if(has(r.not_asked, 'grantee_email'), o.`grantee_email`, r.`grantee_email`) AS `grantee_email`,
    if(has(r.not_asked, 'role'), o.`role`, r.`role`) AS `role`,
    if(has(r.not_asked, 'link_scope'), o.`link_scope`, r.`link_scope`) AS `link_scope`,
    if(has(r.not_asked, 'inherited'), o.`inherited`, r.`inherited`) AS `inherited`,
    if(has(r.not_asked, 'expires_at'), o.`expires_at`, r.`expires_at`) AS `expires_at`,
    if(has(r.not_asked, 'last_used_at'), o.`last_used_at`, r.`last_used_at`) AS `last_used_at`,
    if(has(r.not_asked, 'raw'), o.`raw`, r.`raw`) AS `raw`,
    r.`delivered_at` AS `delivered_at`
FROM
(
    SELECT * FROM `weir`.`file_permissions_log`
    WHERE (version, sipHash64(`instance`, `file_id`, `permission_id`)) IN
    (
        SELECT version, sipHash64(`instance`, `file_id`, `permission_id`) FROM
        (
            SELECT `instance`, `file_id`, `permission_id`, version, change FROM `weir`.`file_permissions_log`
            ORDER BY `instance` DESC, `file_id` DESC, `permission_id` DESC, version DESC
            LIMIT 1 BY `instance`, `file_id`, `permission_id`
        )
        WHERE change <> 'removed'
    )
    LIMIT 1 BY `instance`, `file_id`, `permission_id`
) AS r
LEFT ANY JOIN
(
    SELECT `instance`, `file_id`, `permission_id`,
        argMaxIf(tuple(l.`grantee_id`), l.version, NOT has(l.not_asked, 'grantee_id')).1 AS `grantee_id`,
        argMaxIf(tuple(l.`grantee_kind`), l.version, NOT has(l.not_asked, 'grantee_kind')).1 AS `grantee_kind`,
        argMaxIf(tuple(l.`grantee_email`), l.version, NOT has(l.not_asked, 'grantee_email')).1 AS `grantee_email`,
        argMaxIf(tuple(l.`role`), l.version, NOT has(l.not_asked, 'role')).1 AS `role`,
        argMaxIf(tuple(l.`link_scope`), l.version, NOT has(l.not_asked, 'link_scope')).1 AS `link_scope`,
        argMaxIf(tuple(l.`inherited`), l.version, NOT has(l.not_asked, 'inherited')).1 AS `inherited`,
        argMaxIf(tuple(l.`expires_at`), l.version, NOT has(l.not_asked, 'expires_at')).1 AS `expires_at`,
        argMaxIf(tuple(l.`last_used_at`), l.version, NOT has(l.not_asked, 'last_used_at')).1 AS `last_used_at`,
        argMaxIf(tuple(l.`raw`), l.version, NOT has(l.not_asked, 'raw')).1 AS `raw`
    FROM `weir`.`file_permissions_log` AS l
    WHERE l.change <> 'removed' AND (`instance`, `file_id`, `permission_id`) IN (SELECT `instance`, `file_id`, `permission_id` FROM `weir`.`file_permissions_log` WHERE notEmpty(not_asked))
    GROUP BY `instance`, `file_id`, `permission_id`
) AS o ON r.`instance` = o.`instance` AND r.`file_id` = o.`file_id` AND r.`permission_id` = o.`permission_id`
COMMENT 'Weir: current rows of file_permissions_log (3fb7e715c16d1b3f)';

CREATE OR REPLACE VIEW `weir`.`apps` AS
SELECT
    r.`app` AS `app`,
    r.`instance` AS `instance`,
    r.`tenant` AS `tenant`,
    r.`observed_at` AS `observed_at`,
    r.`version` AS `version`,
    r.`batch_id` AS `batch_id`,
    r.`change` AS `change`,
    r.`changed_fields` AS `changed_fields`,
    r.`removed_reason` AS `removed_reason`,
    r.`not_asked` AS `not_asked`,
    r.`scan_id` AS `scan_id`,
    r.`app_id` AS `app_id`,
    if(has(r.not_asked, 'alias_ids'), o.`alias_ids`, r.`alias_ids`) AS `alias_ids`,
    if(has(r.not_asked, 'name'), o.`name`, r.`name`) AS `name`,
    if(has(r.not_asked, 'publisher'), o.`publisher`, r.`publisher`) AS `publisher`,
    if(has(r.not_asked, 'verified'), o.`verified`, r.`verified`) AS `verified`,
    if(has(r.not_asked, 'owner_tenant'), o.`owner_tenant`, r.`owner_tenant`) AS `owner_tenant`,
    if(has(r.not_asked, 'first_party'), o.`first_party`, r.`first_party`) AS `first_party`,
    if(has(r.not_asked, 'kind'), o.`kind`, r.`kind`) AS `kind`,
    if(has(r.not_asked, 'status'), o.`status`, r.`status`) AS `status`,
    if(has(r.not_asked, 'created_at'), o.`created_at`, r.`created_at`) AS `created_at`,
    if(has(r.not_asked, 'redirect_uris'), o.`redirect_uris`, r.`redirect_uris`) AS `redirect_uris`,
    if(has(r.not_asked, 'secret_ids'), o.`secret_ids`, r.`secret_ids`) AS `secret_ids`,
    if(has(r.not_asked, 'secret_expires_at'), o.`secret_expires_at`, r.`secret_expires_at`) AS `secret_expires_at`,
    if(has(r.not_asked, 'raw'), o.`raw`, r.`raw`) AS `raw`,
    r.`delivered_at` AS `delivered_at`
FROM
(
    SELECT * FROM `weir`.`apps_log`
    WHERE (version, sipHash64(`instance`, `app_id`)) IN
    (
        SELECT version, sipHash64(`instance`, `app_id`) FROM
        (
            SELECT `instance`, `app_id`, version, change FROM `weir`.`apps_log`
            ORDER BY `instance` DESC, `app_id` DESC, version DESC
            LIMIT 1 BY `instance`, `app_id`
        )
        WHERE change <> 'removed'
    )
    LIMIT 1 BY `instance`, `app_id`
) AS r
LEFT ANY JOIN
(
    SELECT `instance`, `app_id`,
        argMaxIf(tuple(l.`alias_ids`), l.version, NOT has(l.not_asked, 'alias_ids')).1 AS `alias_ids`,
        argMaxIf(tuple(l.`name`), l.version, NOT has(l.not_asked, 'name')).1 AS `name`,
        argMaxIf(tuple(l.`publisher`), l.version, NOT has(l.not_asked, 'publisher')).1 AS `publisher`,
        argMaxIf(tuple(l.`verified`), l.version, NOT has(l.not_asked, 'verified')).1 AS `verified`,
        argMaxIf(tuple(l.`owner_tenant`), l.version, NOT has(l.not_asked, 'owner_tenant')).1 AS `owner_tenant`,
        argMaxIf(tuple(l.`first_party`), l.version, NOT has(l.not_asked, 'first_party')).1 AS `first_party`,
        argMaxIf(tuple(l.`kind`), l.version, NOT has(l.not_asked, 'kind')).1 AS `kind`,
        argMaxIf(tuple(l.`status`), l.version, NOT has(l.not_asked, 'status')).1 AS `status`,
        argMaxIf(tuple(l.`created_at`), l.version, NOT has(l.not_asked, 'created_at')).1 AS `created_at`,
        argMaxIf(tuple(l.`redirect_uris`), l.version, NOT has(l.not_asked, 'redirect_uris')).1 AS `redirect_uris`,
        argMaxIf(tuple(l.`secret_ids`), l.version, NOT has(l.not_asked, 'secret_ids')).1 AS `secret_ids`,
        argMaxIf(tuple(l.`secret_expires_at`), l.version, NOT has(l.not_asked, 'secret_expires_at')).1 AS `secret_expires_at`,
        argMaxIf(tuple(l.`raw`), l.version, NOT has(l.not_asked, 'raw')).1 AS `raw`
    FROM `weir`.`apps_log` AS l
    WHERE l.change <> 'removed' AND (`instance`, `app_id`) IN (SELECT `instance`, `app_id` FROM `weir`.`apps_log` WHERE notEmpty(not_asked))
    GROUP BY `instance`, `app_id`
) AS o ON r.`instance` = o.`instance` AND r.`app_id` = o.`app_id`
COMMENT 'Weir: current rows of apps_log (e3ed10e9982d4b5f)';

CREATE OR REPLACE VIEW `weir`.`app_grants` AS
SELECT
    r.`app` AS `app`,
    r.`instance` AS `instance`,
    r.`tenant` AS `tenant`,
    r.`observed_at` AS `observed_at`,
    r.`version` AS `version`,
    r.`batch_id` AS `batch_id`,
    r.`change` AS `change`,
    r.`changed_fields` AS `changed_fields`,
    r.`removed_reason` AS `removed_reason`,
    r.`not_asked` AS `not_asked`,
    r.`scan_id` AS `scan_id`,
    r.`grant_id` AS `grant_id`,
    if(has(r.not_asked, 'kind'), o.`kind`, r.`kind`) AS `kind`,
    if(has(r.not_asked, 'app_id'), o.`app_id`, r.`app_id`) AS `app_id`,
    if(has(r.not_asked, 'app_name'), o.`app_name`, r.`app_name`) AS `app_name`,
    if(has(r.not_asked, 'publisher'), o.`publisher`, r.`publisher`) AS `publisher`,
    if(has(r.not_asked, 'principal_id'), o.`principal_id`, r.`principal_id`) AS `principal_id`,
    if(has(r.not_asked, 'principal_kind'), o.`principal_kind`, r.`principal_kind`) AS `principal_kind`,
    if(has(r.not_asked, 'scopes'), o.`scopes`, r.`scopes`) AS `scopes`,
    if(has(r.not_asked, 'resource'), o.`resource`, r.`resource`) AS `resource`,
    if(has(r.not_asked, 'consent'), o.`consent`, r.`consent`) AS `consent`,
    if(has(r.not_asked, 'status'), o.`status`, r.`status`) AS `status`,
    if(has(r.not_asked, 'high_privilege'), o.`high_privilege`, r.`high_privilege`) AS `high_privilege`,
    if(has(r.not_asked, 'created_at'), o.`created_at`, r.`created_at`) AS `created_at`,
    if(has(r.not_asked, 'last_used_at'), o.`last_used_at`, r.`last_used_at`) AS `last_used_at`,
    if(has(r.not_asked, 'expires_at'), o.`expires_at`, r.`expires_at`) AS `expires_at`,
    if(has(r.not_asked, 'raw'), o.`raw`, r.`raw`) AS `raw`,
    r.`delivered_at` AS `delivered_at`
FROM
(
    SELECT * FROM `weir`.`app_grants_log`
    WHERE (version, sipHash64(`instance`, `grant_id`)) IN
    (
        SELECT version, sipHash64(`instance`, `grant_id`) FROM
        (
            SELECT `instance`, `grant_id`, version, change FROM `weir`.`app_grants_log`
            ORDER BY `instance` DESC, `grant_id` DESC, version DESC
            LIMIT 1 BY `instance`, `grant_id`
        )
        WHERE change <> 'removed'
    )
    LIMIT 1 BY `instance`, `grant_id`
) AS r
LEFT ANY JOIN
(
    SELECT `instance`, `grant_id`,
        argMaxIf(tuple(l.`kind`), l.version, NOT has(l.not_asked, 'kind')).1 AS `kind`,
        argMaxIf(tuple(l.`app_id`), l.version, NOT has(l.not_asked, 'app_id')).1 AS `app_id`,
        argMaxIf(tuple(l.`app_name`), l.version, NOT has(l.not_asked, 'app_name')).1 AS `app_name`,
        argMaxIf(tuple(l.`publisher`), l.version, NOT has(l.not_asked, 'publisher')).1 AS `publisher`,
        argMaxIf(tuple(l.`principal_id`), l.version, NOT has(l.not_asked, 'principal_id')).1 AS `principal_id`,
        argMaxIf(tuple(l.`principal_kind`), l.version, NOT has(l.not_asked, 'principal_kind')).1 AS `principal_kind`,
        argMaxIf(tuple(l.`scopes`), l.version, NOT has(l.not_asked, 'scopes')).1 AS `scopes`,
        argMaxIf(tuple(l.`resource`), l.version, NOT has(l.not_asked, 'resource')).1 AS `resource`,
        argMaxIf(tuple(l.`consent`), l.version, NOT has(l.not_asked, 'consent')).1 AS `consent`,
        argMaxIf(tuple(l.`status`), l.version, NOT has(l.not_asked, 'status')).1 AS `status`,
        argMaxIf(tuple(l.`high_privilege`), l.version, NOT has(l.not_asked, 'high_privilege')).1 AS `high_privilege`,
        argMaxIf(tuple(l.`created_at`), l.version, NOT has(l.not_asked, 'created_at')).1 AS `created_at`,
        argMaxIf(tuple(l.`last_used_at`), l.version, NOT has(l.not_asked, 'last_used_at')).1 AS `last_used_at`,
        argMaxIf(tuple(l.`expires_at`), l.version, NOT has(l.not_asked, 'expires_at')).1 AS `expires_at`,
        argMaxIf(tuple(l.`raw`), l.version, NOT has(l.not_asked, 'raw')).1 AS `raw`
    FROM `weir`.`app_grants_log` AS l
    WHERE l.change <> 'removed' AND (`instance`, `grant_id`) IN (SELECT `instance`, `grant_id` FROM `weir`.`app_grants_log` WHERE notEmpty(not_asked))
    GROUP BY `instance`, `grant_id`
) AS o ON r.`instance` = o.`instance` AND r.`grant_id` = o.`grant_id`
COMMENT 'Weir: current rows of app_grants_log (67f08c99bca30072)';

CREATE OR REPLACE VIEW `weir`.`activities_resolved` AS
SELECT a.*,
    if(byid.account_id <> '', byid.account_id, bymail.account_id) AS actor_account_id,
    if(byid.account_id <> '', byid.how, bymail.how) AS actor_joined_by,
    who.login AS actor_login, who.display_name AS actor_display_name, who.status AS actor_status, who.is_admin AS actor_is_admin, who.external AS actor_external,
    target.account_id AS target_account_id,
    app.app_id AS app_id, app.name AS app_name, app.publisher AS app_publisher,
    cred.kind AS credential_kind, cred.principal_id AS credential_principal_id
FROM `weir`.activities AS a
LEFT ANY JOIN (
    SELECT instance, name, argMin(id, rank) AS account_id, argMin(way, rank) AS how FROM
    (
        SELECT instance, account_id AS id, names.1 AS name, names.2 AS way, names.2 <> 'id' AS rank
        FROM `weir`.accounts
        ARRAY JOIN arrayConcat([(account_id, 'id')], arrayMap(x -> (x, 'alias'), alias_ids), arrayMap(x -> (x, 'email'), arrayDistinct(arrayConcat([email], emails)))) AS names
        WHERE names.1 <> ''
    )
    GROUP BY instance, name HAVING uniqExact(id) = 1 OR min(rank) = 0
) AS byid ON byid.instance = a.instance AND byid.name = a.actor_id
LEFT ANY JOIN (
    SELECT instance, name, argMin(id, rank) AS account_id, argMin(way, rank) AS how FROM
    (
        SELECT instance, account_id AS id, names.1 AS name, names.2 AS way, names.2 <> 'id' AS rank
        FROM `weir`.accounts
        ARRAY JOIN arrayConcat([(account_id, 'id')], arrayMap(x -> (x, 'alias'), alias_ids), arrayMap(x -> (x, 'email'), arrayDistinct(arrayConcat([email], emails)))) AS names
        WHERE names.1 <> ''
    )
    GROUP BY instance, name HAVING uniqExact(id) = 1 OR min(rank) = 0
) AS bymail ON bymail.instance = a.instance AND bymail.name = a.actor_email
LEFT ANY JOIN `weir`.accounts AS who ON who.instance = a.instance AND who.account_id = if(byid.account_id <> '', byid.account_id, bymail.account_id)
LEFT ANY JOIN (
    SELECT instance, name, argMin(id, rank) AS account_id, argMin(way, rank) AS how FROM
    (
        SELECT instance, account_id AS id, names.1 AS name, names.2 AS way, names.2 <> 'id' AS rank
        FROM `weir`.accounts
        ARRAY JOIN arrayConcat([(account_id, 'id')], arrayMap(x -> (x, 'alias'), alias_ids), arrayMap(x -> (x, 'email'), arrayDistinct(arrayConcat([email], emails)))) AS names
        WHERE names.1 <> ''
    )
    GROUP BY instance, name HAVING uniqExact(id) = 1 OR min(rank) = 0
) AS target ON target.instance = a.instance AND target.name = a.target_id
LEFT ANY JOIN
(
    SELECT instance, names AS id, app_id, name, publisher
    FROM `weir`.apps ARRAY JOIN arrayDistinct(arrayConcat([app_id], alias_ids)) AS names WHERE names <> ''
) AS app ON app.instance = a.instance AND app.id = a.client_app_id
LEFT ANY JOIN `weir`.app_grants AS cred ON cred.instance = a.instance AND cred.grant_id = a.credential_id
COMMENT 'Weir: activities with the accounts, groups, files, apps and grants they name, joined by id, alias or e-mail (1483a59b63784053)';

CREATE OR REPLACE VIEW `weir`.`file_access` AS
SELECT p.instance AS instance, p.app AS app, r.file_id AS file_id, f.kind AS kind, f.name AS name, f.path AS path,
    f.container_id AS container_id, f.container_name AS container_name, f.sharing AS sharing, f.owner_id AS owner_id,
    p.permission_id AS permission_id, p.role AS role, if(r.file_id <> p.file_id, true, p.inherited) AS inherited, p.file_id AS granted_on, p.link_scope AS link_scope, p.expires_at AS expires_at,
    p.grantee_kind AS grantee_kind, p.grantee_id AS grantee_id, p.grantee_email AS grantee_email,
    multiIf(p.grantee_kind = 'group', m.account_id, byid.account_id <> '', byid.account_id, bymail.account_id) AS account_id,
    if(p.grantee_kind = 'group', p.grantee_id, '') AS via_group_id,
    who.login AS login, who.email AS email, who.status AS status, who.external AS external
FROM (
    WITH RECURSIVE holders AS
    (
        SELECT instance, file_id, parent_id FROM `weir`.files WHERE kind IN ('folder', 'container') AND parent_id <> ''
    ),
    inside AS
    (
        SELECT DISTINCT instance, file_id AS granted_on, file_id AS holder, 0 AS depth FROM `weir`.file_permissions
        UNION ALL
        SELECT i.instance, i.granted_on, h.file_id, i.depth + 1
        FROM inside AS i INNER JOIN holders AS h ON h.instance = i.instance AND h.parent_id = i.holder
        WHERE i.depth < 100 AND h.file_id <> i.granted_on
    )
    SELECT DISTINCT i.instance AS instance, i.granted_on AS granted_on, arrayJoin(arrayPushBack(c.files, i.holder)) AS file_id
    FROM inside AS i
    LEFT ANY JOIN
    (
        SELECT instance, parent_id, groupArray(file_id) AS files FROM `weir`.files
        WHERE kind NOT IN ('folder', 'container') AND parent_id <> '' GROUP BY instance, parent_id
    ) AS c ON c.instance = i.instance AND c.parent_id = i.holder
) AS r
INNER JOIN `weir`.file_permissions AS p ON p.instance = r.instance AND p.file_id = r.granted_on
LEFT ANY JOIN `weir`.files AS f ON f.instance = r.instance AND f.file_id = r.file_id
LEFT JOIN (
    WITH RECURSIVE inside AS
    (
        SELECT instance, group_id, member_id, member_kind, 1 AS depth FROM `weir`.group_members
        UNION ALL
        SELECT i.instance, i.group_id, m.member_id, m.member_kind, i.depth + 1
        FROM inside AS i INNER JOIN `weir`.group_members AS m ON m.instance = i.instance AND m.group_id = i.member_id
        WHERE i.member_kind = 'group' AND i.depth < 10
    )
    SELECT DISTINCT instance, group_id, member_id AS account_id FROM inside WHERE member_kind <> 'group'
) AS m ON m.instance = p.instance AND m.group_id = if(p.grantee_kind = 'group', p.grantee_id, '')
LEFT ANY JOIN (
    SELECT instance, name, argMin(id, rank) AS account_id, argMin(way, rank) AS how FROM
    (
        SELECT instance, account_id AS id, names.1 AS name, names.2 AS way, names.2 <> 'id' AS rank
        FROM `weir`.accounts
        ARRAY JOIN arrayConcat([(account_id, 'id')], arrayMap(x -> (x, 'alias'), alias_ids), arrayMap(x -> (x, 'email'), arrayDistinct(arrayConcat([email], emails)))) AS names
        WHERE names.1 <> ''
    )
    GROUP BY instance, name HAVING uniqExact(id) = 1 OR min(rank) = 0
) AS byid ON byid.instance = p.instance AND byid.name = p.grantee_id
LEFT ANY JOIN (
    SELECT instance, name, argMin(id, rank) AS account_id, argMin(way, rank) AS how FROM
    (
        SELECT instance, account_id AS id, names.1 AS name, names.2 AS way, names.2 <> 'id' AS rank
        FROM `weir`.accounts
        ARRAY JOIN arrayConcat([(account_id, 'id')], arrayMap(x -> (x, 'alias'), alias_ids), arrayMap(x -> (x, 'email'), arrayDistinct(arrayConcat([email], emails)))) AS names
        WHERE names.1 <> ''
    )
    GROUP BY instance, name HAVING uniqExact(id) = 1 OR min(rank) = 0
) AS bymail ON bymail.instance = p.instance AND bymail.name = p.grantee_email
LEFT ANY JOIN `weir`.accounts AS who ON who.instance = p.instance
    AND who.account_id = multiIf(p.grantee_kind = 'group', m.account_id, byid.account_id <> '', byid.account_id, bymail.account_id)
COMMENT 'Weir: who can reach which file, folder or container by a grant on it or on what it lies in, groups resolved to their members (11d67a83030eadea)';

CREATE OR REPLACE VIEW `weir`.`effective_privileges` AS
SELECT p.instance AS instance, p.app AS app, p.privilege_id AS privilege_id, p.role_id AS role_id, p.role_name AS role_name,
    p.scope AS scope, p.scope_kind AS scope_kind, p.state AS state, p.privileged AS privileged, p.expires_at AS expires_at,
    p.principal_kind AS principal_kind, p.principal_id AS principal_id,
    if(p.principal_kind = 'group', m.account_id, byid.account_id) AS account_id,
    if(p.principal_kind = 'group', p.principal_id, '') AS via_group_id,
    who.login AS login, who.email AS email, who.status AS status, who.kind AS kind, who.mfa_enabled AS mfa_enabled, who.external AS external
FROM `weir`.privileges AS p
LEFT JOIN (
    WITH RECURSIVE inside AS
    (
        SELECT instance, group_id, member_id, member_kind, 1 AS depth FROM `weir`.group_members
        UNION ALL
        SELECT i.instance, i.group_id, m.member_id, m.member_kind, i.depth + 1
        FROM inside AS i INNER JOIN `weir`.group_members AS m ON m.instance = i.instance AND m.group_id = i.member_id
        WHERE i.member_kind = 'group' AND i.depth < 10
    )
    SELECT DISTINCT instance, group_id, member_id AS account_id FROM inside WHERE member_kind <> 'group'
) AS m ON m.instance = p.instance AND m.group_id = if(p.principal_kind = 'group', p.principal_id, '')
LEFT ANY JOIN (
    SELECT instance, name, argMin(id, rank) AS account_id, argMin(way, rank) AS how FROM
    (
        SELECT instance, account_id AS id, names.1 AS name, names.2 AS way, names.2 <> 'id' AS rank
        FROM `weir`.accounts
        ARRAY JOIN arrayConcat([(account_id, 'id')], arrayMap(x -> (x, 'alias'), alias_ids), arrayMap(x -> (x, 'email'), arrayDistinct(arrayConcat([email], emails)))) AS names
        WHERE names.1 <> ''
    )
    GROUP BY instance, name HAVING uniqExact(id) = 1 OR min(rank) = 0
) AS byid ON byid.instance = p.instance AND byid.name = p.principal_id
LEFT ANY JOIN `weir`.accounts AS who ON who.instance = p.instance AND who.account_id = if(p.principal_kind = 'group', m.account_id, byid.account_id)
COMMENT 'Weir: which account holds which privilege, itself or through groups (3b92e907445af117)';
