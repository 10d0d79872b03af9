-- What is shared outside the organization?
SELECT DISTINCT * FROM (
  SELECT 'public repository' AS what, f.name AS name, '' AS grantee, p.role AS may
  FROM files f
  JOIN file_permissions p ON p.instance = f.instance AND p.file_id = f.file_id
  WHERE f.kind = 'container' AND f.sharing = 'public' AND p.grantee_kind = 'anyone'
  UNION ALL
  SELECT 'link for anybody' AS what, f.name AS name, '' AS grantee, p.role AS may
  FROM files f
  JOIN file_permissions p ON p.instance = f.instance AND p.file_id = f.file_id
  WHERE p.link_scope = 'anyone'
  UNION ALL
  SELECT 'outside collaborator' AS what, f.name AS name, a.login AS grantee, p.role AS may
  FROM files f
  JOIN file_permissions p ON p.instance = f.instance AND p.file_id = f.file_id
  JOIN accounts a ON a.instance = p.instance AND a.account_id = p.grantee_id
  WHERE a.external AND p.role IN ('write', 'maintain', 'admin')
) AS found
ORDER BY what DESC, name, grantee, may;
