-- The yardstick: the ClickHouse engine turns a directory of CloudTrail log files
-- into one Parquet file with the columns that Weir fills from them, by the same
-- rules (docs/connectors/aws.md): actors by kind of identity, targets with their
-- fallbacks and kinds, changes, OCSF classes. Two threads, gunzip included; what
-- Weir does besides (ids seen, spool, state, marks) is left out.
-- Parameters: in (a glob of *.json.gz), out (a file).
SET max_threads = 2, output_format_parquet_compression_method = 'zstd', engine_file_truncate_on_insert = 1,
    max_insert_threads = 1, output_format_parquet_parallel_encoding = 1;

INSERT INTO FUNCTION file({out:String}, 'Parquet')
WITH
    JSONExtract(raw, 'Tuple(
        eventID String, eventTime String, eventSource String, eventName String, awsRegion String, sourceIPAddress String, userAgent String,
        errorCode String, errorMessage String, requestID String, readOnly Nullable(Bool), recipientAccountId String, eventCategory String, eventType String,
        requestParameters String, responseElements String, additionalEventData String, serviceEventDetails String,
        userIdentity Tuple(type String, principalId String, arn String, accountId String, accessKeyId String, userName String, invokedBy String, credentialId String,
            onBehalfOf Tuple(userId String),
            sessionContext Tuple(attributes Tuple(mfaAuthenticated String, creationDate String), sessionIssuer Tuple(arn String, userName String), sourceIdentity String, ec2RoleDelivery String,
                webIdFederationData Tuple(federatedProvider String))),
        resources Array(Tuple(ARN String, type String)))') AS r,
    r.userIdentity AS id,
    id.sessionContext.sessionIssuer.userName AS role,
    arrayElement(splitByChar(':', id.principalId), 2) AS session,
    toIPv6OrNull(r.sourceIPAddress) AS ip,
    if(ip IS NULL, '', if(toIPv4OrNull(r.sourceIPAddress) IS NULL, toString(ip), r.sourceIPAddress)) AS address,
    JSONExtractKeysAndValuesRaw(r.requestParameters) AS params,
    '(?i)(name|ids?|arn|identifier)$' AS identifying,
    arrayFirst(p -> match(p.1, identifying) AND NOT (p.2 IN ('null', '""')), params) AS p1,
    if(p1.1 != '' OR notEmpty(r.resources), ('', ''), arrayFirst(p -> match(p.1, identifying) AND NOT (p.2 IN ('null', '""')),
        arrayConcat(JSONExtractKeysAndValuesRaw(r.responseElements), JSONExtractKeysAndValuesRaw(r.serviceEventDetails), JSONExtractKeysAndValuesRaw(r.additionalEventData)))) AS p2,
    if(p1.1 != '', p1, p2) AS named,
    multiIf(notEmpty(r.resources), arrayMap(x -> x.ARN, r.resources),
        startsWith(named.2, '['), JSONExtract(named.2, 'Array(String)'),
        named.1 = '', [], [JSONExtractString(concat('[', named.2, ']'), 1)]) AS targets,
    r.readOnly = 0 AS is_write,
    replaceOne(r.eventSource, '.amazonaws.com', '') AS short,
    short IN ('signin') OR (short = 'sts' AND (startsWith(r.eventName, 'AssumeRole') OR r.eventName IN ('GetSessionToken', 'GetFederationToken'))) AS is_signin,
    r.errorCode != '' OR JSONExtractString(r.responseElements, 'ConsoleLogin') = 'Failure' AS is_failure,
    if(is_write, arrayFilter(p -> p.1 != p1.1 AND p.2 != 'null', params), []) AS changes
SELECT
    'aws' AS app, 'trail' AS instance, '' AS tenant, now64(3) AS observed_at, toUnixTimestamp64Micro(now64(6)) AS version, '' AS batch_id,
    r.eventID AS event_id, parseDateTimeBestEffortOrZero(r.eventTime) AS time,
    multiIf(is_signin, 'signin', is_write AND r.eventCategory != 'Data', 'admin', 'user') AS kind,
    concat(short, ':', r.eventName) AS action,
    multiIf(r.readOnly IS NULL, 'unknown', is_write, 'write', 'read') AS access,
    if(is_failure, 'failure', 'success') AS outcome, r.errorCode AS error_code, r.errorMessage AS reason,
    multiIf(id.type = 'IdentityCenterUser', id.onBehalfOf.userId, id.principalId != '', id.principalId, id.invokedBy != '', id.invokedBy, id.accountId) AS actor_id,
    multiIf(id.type = 'AssumedRole', session, id.userName != '', id.userName, id.invokedBy != '', id.invokedBy, arrayElement(splitByChar('/', id.arn), -1)) AS actor_name,
    if(position(actor_name, '@') > 0, lower(actor_name), '') AS actor_email,
    multiIf(id.type IN ('AWSService', ''), 'system', id.type IN ('Root', 'SAMLUser', 'WebIdentityUser', 'FederatedUser', 'IdentityCenterUser'), 'human',
        id.type = 'IAMUser' AND (id.sessionContext.attributes.creationDate != '' OR r.eventType = 'AwsConsoleSignIn'), 'human',
        startsWith(role, 'AWSReservedSSO_') OR id.sessionContext.sourceIdentity != '', 'human',
        id.type = 'Role' OR startsWith(session, 'i-') OR id.sessionContext.ec2RoleDelivery != '' OR id.sessionContext.webIdFederationData.federatedProvider != '' OR id.invokedBy != '', 'service',
        position(session, '@') > 0, 'human', 'unknown') AS actor_kind,
    if(id.type IN ('AssumedRole', 'FederatedUser'), id.sessionContext.sessionIssuer.arn, '') AS effective_id, if(id.type IN ('AssumedRole', 'FederatedUser'), role, '') AS effective_name,
    if(startsWith(id.accessKeyId, 'AKIA'), id.accessKeyId, '') AS credential_id,
    multiIf(id.sessionContext.attributes.mfaAuthenticated != '', id.sessionContext.attributes.mfaAuthenticated = 'true',
        JSONHas(r.additionalEventData, 'MFAUsed'), JSONExtractString(r.additionalEventData, 'MFAUsed') = 'Yes', NULL) AS mfa,
    targets[1] AS target_id, target_names[1] AS target_name, target_kinds[1] AS target_kind,
    targets AS target_ids, arrayMap(t -> arrayElement(splitByRegexp('[/:]', t), -1), targets) AS target_names,
    arrayMap((t, i) -> multiIf(
        notEmpty(r.resources) AND r.resources[i].type != '', transform(r.resources[i].type,
            ['AWS::IAM::User', 'AWS::IAM::Role', 'AWS::IAM::Policy', 'AWS::IAM::Group', 'AWS::S3::Bucket', 'AWS::S3::Object', 'AWS::KMS::Key', 'AWS::SecretsManager::Secret', 'AWS::STS::AssumedRole'],
            ['account', 'role', 'policy', 'group', 'bucket', 'file', 'credential', 'credential', 'session'], 'other'),
        startsWith(t, 'arn:'), transform(splitByChar(':', t)[3], ['iam', 'sts', 's3', 'kms', 'secretsmanager', 'dynamodb', 'cloudtrail'], ['role', 'session', 'bucket', 'credential', 'credential', 'record', 'policy'], 'other'),
        transform(named.1, ['userName', 'groupName', 'roleName', 'roleArn', 'policyArn', 'policyName', 'accessKeyId', 'secretId', 'keyId', 'keyName', 'bucketName', 'tableName', 'instanceId', 'accountId'],
            ['account', 'group', 'role', 'role', 'policy', 'policy', 'credential', 'credential', 'credential', 'credential', 'bucket', 'record', 'device', 'org'], 'other')), targets, arrayEnumerate(targets)) AS target_kinds,
    toInt32(length(targets)) AS target_count,
    arrayMap(p -> p.1, changes) AS change_names, arrayMap(p -> '', changes) AS change_old,
    arrayMap(p -> substring(if(startsWith(p.2, '"'), JSONExtractString(concat('[', p.2, ']'), 1), p.2), 1, 1024), changes) AS change_new,
    address AS src_ip, if(address = '', r.sourceIPAddress, '') AS src_host, if(address = '', [], [address]) AS ips,
    r.userAgent AS user_agent, if(startsWith(id.accessKeyId, 'AKIA'), '', if(id.accessKeyId != '', id.accessKeyId, id.credentialId)) AS session_id, r.requestID AS request_id,
    splitByRegexp('[/ ;,(]', trim(LEADING '[' FROM r.userAgent))[1] AS client_app_name, r.eventSource AS service, r.awsRegion AS region,
    if(r.recipientAccountId != '', r.recipientAccountId, id.accountId) AS scope_id,
    toInt32(multiIf(is_signin, 3002, r.eventCategory = 'Data' AND short = 's3', 6006, r.eventCategory = 'Data' AND short = 'dynamodb', 6005, NOT is_write, 6003,
        short = 'iam' AND match(r.eventName, 'User$|AccessKey$|LoginProfile$|Password$|MFADevice$'), 3001,
        short = 'iam' AND match(r.eventName, 'Group'), 3006, short IN ('iam', 'sso') AND match(r.eventName, 'Policy$|PermissionSet'), 3005,
        short IN ('organizations', 'config', 'cloudtrail'), 3004, 6003)) AS class_uid,
    toInt32(multiIf(is_signin, 1, match(r.eventName, '^(Create|Run|Add|Allocate|Register|Import|Generate|Copy)'), 1, match(r.eventName, '^(Describe|Get|List|Head|Lookup|BatchGet|Query|Scan|Search|Decrypt)'), 2,
        match(r.eventName, '^(Delete|Remove|Terminate|Release|Deregister|Revoke|Purge|Cancel)'), 4, is_write, 3, 2)) AS activity_id,
    toInt32(multiIf(is_failure AND is_write AND short = 'iam', 3, is_failure AND is_signin, 2, 1)) AS severity_id, toInt32(if(is_failure, 2, 1)) AS status_id,
    raw
FROM
(
    SELECT arrayJoin(JSONExtractArrayRaw(file, 'Records')) AS raw
    FROM file({in:String}, 'RawBLOB', 'file String')
    SETTINGS max_block_size = 1
);
