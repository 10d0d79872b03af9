-- Who has left, or is locked out of Okta, and still has something?
SELECT * FROM (
  SELECT o.login AS login, o.status AS okta, 'account' AS still_has, a.app AS app, a.login AS name
  FROM accounts o
  JOIN accounts a ON a.email = o.email
  WHERE o.app = 'okta' AND o.status IN ('deprovisioned', 'suspended') AND o.email <> ''
    AND a.app <> 'okta' AND a.status = 'active'
  UNION ALL
  SELECT o.login AS login, o.status AS okta, g.kind AS still_has, g.app AS app, g.app_name AS name
  FROM accounts o
  JOIN app_grants g ON g.instance = o.instance AND g.principal_id = o.account_id
  WHERE o.app = 'okta' AND o.status IN ('deprovisioned', 'suspended') AND g.status = 'active'
  UNION ALL
  SELECT o.login AS login, o.status AS okta, 'role' AS still_has, p.app AS app, p.role_name AS name
  FROM accounts o
  JOIN privileges p ON p.instance = o.instance AND p.principal_id = o.account_id
  WHERE o.app = 'okta' AND o.status IN ('deprovisioned', 'suspended')
) AS found
ORDER BY login, still_has, app, name;
