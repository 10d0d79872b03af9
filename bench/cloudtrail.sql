-- The yardstick: the ClickHouse engine turns a directory of CloudTrail log files
-- into one Parquet file with the columns that Weir fills from them. Two threads,
-- gunzip included. Parameters: in (a glob of *.json.gz), out (a file).
SET max_threads = 2, max_parsing_threads = 2, output_format_parquet_compression_method = 'zstd', engine_file_truncate_on_insert = 1,
    input_format_json_max_depth = 100, max_insert_threads = 1, output_format_parquet_parallel_encoding = 1, min_chunk_bytes_for_parallel_parsing = 1000000;

INSERT INTO FUNCTION file({out:String}, 'Parquet')
WITH
    JSONExtract(raw, 'Tuple(
        eventID String, eventTime String, eventSource String, eventName String, awsRegion String, sourceIPAddress String, userAgent String,
        errorCode String, errorMessage String, requestID String, readOnly Bool, recipientAccountId String, eventCategory String,
        requestParameters String, responseElements String, additionalEventData String, serviceEventDetails String,
        userIdentity Tuple(type String, principalId String, arn String, accountId String, accessKeyId String, userName String, invokedBy String,
            sessionContext Tuple(attributes Tuple(mfaAuthenticated String), sessionIssuer Tuple(arn String, userName String))),
        resources Array(Tuple(ARN String, type String)))') AS r,
    r.userIdentity AS id,
    toIPv6OrNull(r.sourceIPAddress) IS NOT NULL AS is_ip,
    JSONExtractKeysAndValuesRaw(r.requestParameters) AS params,
    arrayFilter(p -> match(p.1, '(?i)(name|ids?|arn|identifier)$'), params) AS named,
    if(notEmpty(r.resources), arrayMap(x -> x.ARN, r.resources), arrayMap(p -> trim(BOTH '"' FROM p.2), arraySlice(named, 1, 1))) AS targets
SELECT
    'aws' AS app, 'trail' AS instance, '' AS tenant, now64(3) AS observed_at, toUnixTimestamp64Micro(now64(6)) AS version, '' AS batch_id,
    r.eventID AS event_id, parseDateTimeBestEffortOrZero(r.eventTime) AS time,
    multiIf(r.eventSource IN ('signin.amazonaws.com', 'sts.amazonaws.com'), 'signin', r.readOnly, 'user', 'admin') AS kind,
    concat(replaceOne(r.eventSource, '.amazonaws.com', ''), ':', r.eventName) AS action,
    if(r.readOnly, 'read', 'write') AS access,
    if(r.errorCode != '', 'failure', 'success') AS outcome, r.errorCode AS error_code, r.errorMessage AS reason,
    id.principalId AS actor_id, if(id.userName != '', id.userName, id.invokedBy) AS actor_name, '' AS actor_email,
    multiIf(id.type IN ('AWSService', ''), 'system', id.type = 'Root', 'human', 'unknown') AS actor_kind,
    id.sessionContext.sessionIssuer.arn AS effective_id, id.sessionContext.sessionIssuer.userName AS effective_name,
    if(startsWith(id.accessKeyId, 'AKIA'), id.accessKeyId, '') AS credential_id,
    if(id.sessionContext.attributes.mfaAuthenticated = '', NULL, id.sessionContext.attributes.mfaAuthenticated = 'true') AS mfa,
    targets[1] AS target_id, arrayElement(splitByChar('/', targets[1]), -1) AS target_name, 'other' AS target_kind,
    targets AS target_ids, arrayMap(t -> arrayElement(splitByChar('/', t), -1), targets) AS target_names, arrayMap(t -> 'other', targets) AS target_kinds,
    toInt32(length(targets)) AS target_count,
    if(r.readOnly, [], arrayMap(p -> p.1, params)) AS change_names, if(r.readOnly, [], arrayMap(p -> '', params)) AS change_old,
    if(r.readOnly, [], arrayMap(p -> substring(p.2, 1, 1024), params)) AS change_new,
    if(is_ip, r.sourceIPAddress, '') AS src_ip, if(is_ip, '', r.sourceIPAddress) AS src_host, if(is_ip, [r.sourceIPAddress], []) AS ips,
    r.userAgent AS user_agent, if(startsWith(id.accessKeyId, 'ASIA'), id.accessKeyId, '') AS session_id, r.requestID AS request_id,
    splitByChar('/', r.userAgent)[1] AS client_app_name, r.eventSource AS service, r.awsRegion AS region, r.recipientAccountId AS scope_id,
    toInt32(6003) AS class_uid, toInt32(if(r.readOnly, 2, 3)) AS activity_id, toInt32(1) AS severity_id, toInt32(if(r.errorCode != '', 2, 1)) AS status_id,
    raw
FROM
(
    SELECT arrayJoin(JSONExtractArrayRaw(file, 'Records')) AS raw
    FROM file({in:String}, 'RawBLOB', 'file String')
    SETTINGS max_block_size = 1
);
