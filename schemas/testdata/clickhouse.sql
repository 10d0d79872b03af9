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
