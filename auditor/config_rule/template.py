"""CloudFormation templates of what AWS Config needs: the function, its role, the rules; for one account or for many.

Source: AWS CloudFormation User Guide (resource reference), AWS Config Developer Guide.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from auditor import permissions
from auditor.config_rule.live import about_tables, is_narrow
from auditor.errors import UsageError
from auditor.packs import Rules
from auditor.resources import Table

#: AWS Config takes so many characters of parameters (ConfigRule.InputParameters).
MOST_PARAMETERS = 1024

_Template = dict[str, Any]


@dataclass(frozen=True)
class Chosen:
    """Which rules AWS Config is to ask.

    Attributes:
        rules: The rules.
        include: The globs that chose them; empty: all.
        exclude: The globs that left some out.
        severity: The lowest severity; an empty text: any.
        parameters: More ``ruleParameters``.
    """

    rules: Rules
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    severity: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def narrow(self) -> tuple[str, ...]:
        """The rules that a change of a table can ask for little: those that look at nothing else."""
        return tuple(rule.id for rule in about_tables(self.rules).values() if is_narrow(rule))

    def on_changes(self) -> dict[str, str]:
        """Return the parameters of the AWS Config rule that is called with changes."""
        return self._checked({"rules": ",".join(self.narrow)})

    def on_schedule(self) -> dict[str, str]:
        """Return the parameters of the AWS Config rule that is called by the clock."""
        given = {
            "rules": ",".join(self.include),
            "skip": ",".join([*self.exclude, *self.narrow]),
            "severity": self.severity,
        }
        return self._checked({name: value for name, value in given.items() if value})

    @property
    def scheduled(self) -> bool:
        """Some rules are left for the clock."""
        return len(self.narrow) < len(self.rules)

    def _checked(self, given: dict[str, str]) -> dict[str, str]:
        held = {**given, **dict(self.parameters)}
        size = len(json.dumps(held))
        if size > MOST_PARAMETERS:
            raise UsageError(
                f"the parameters of the AWS Config rule have {size} characters; it takes {MOST_PARAMETERS}.",
                "Choose rules by globs, or put settings into the package (`config-rule package --config`).",
            )
        return held


def account(chosen: Chosen) -> _Template:
    """Return the template for one account and region: function, role, log group, dead letters, alarm, rules.

    Raises:
        UsageError: the parameters are longer than AWS Config takes them.
    """
    return _template(
        "ddbaudit as AWS Config rules, in one account and region",
        _PARAMETERS | _FREQUENCY,
        _function(_policies(chosen, None))
        | _permission({"Ref": "AWS::AccountId"})
        | _rules(chosen, after="Permission"),
        {"FunctionArn": {"Value": {"Fn::GetAtt": ["Function", "Arn"]}}},
    )


def stack_set(chosen: Chosen) -> _Template:
    """Return the template that rolls :func:`account` out to an organisation: a service-managed stack set."""
    body = json.dumps(account(chosen), separators=(",", ":"))
    if len(body) > 51_200:
        raise UsageError(
            f"the template in the stack set has {len(body)} characters; CloudFormation takes 51,200.",
            "Choose fewer rules.",
        )
    inner = account(chosen)["Parameters"]
    parameters = {
        "OrganizationalUnits": {
            "Type": "CommaDelimitedList",
            "Description": "Ids of the units (ou-...) or of the root (r-...)",
        },
        "Regions": {"Type": "CommaDelimitedList", "Description": "Regions with tables"},
        **inner,
    }
    return _template(
        "ddbaudit as AWS Config rules in every account of an organisation; deploy it in the management account",
        parameters,
        {
            "StackSet": {
                "Type": "AWS::CloudFormation::StackSet",
                "Properties": {
                    "StackSetName": {"Ref": "RuleName"},
                    "PermissionModel": "SERVICE_MANAGED",
                    "AutoDeployment": {"Enabled": True, "RetainStacksOnAccountRemoval": False},
                    "Capabilities": ["CAPABILITY_IAM"],
                    "ManagedExecution": {"Active": True},
                    "OperationPreferences": {"FailureTolerancePercentage": 10, "MaxConcurrentPercentage": 25},
                    "Parameters": [{"ParameterKey": name, "ParameterValue": {"Ref": name}} for name in inner],
                    "StackInstancesGroup": [
                        {
                            "DeploymentTargets": {"OrganizationalUnitIds": {"Ref": "OrganizationalUnits"}},
                            "Regions": {"Ref": "Regions"},
                        }
                    ],
                    "TemplateBody": body,
                },
            }
        },
        {},
    )


def member_role(chosen: Chosen) -> _Template:
    """Return the template of the role that a central function takes in each account."""
    parameters = {
        "FunctionRoleArn": {
            "Type": "String",
            "Description": "ARN of the role of the central function",
            "AllowedPattern": r"arn:aws[a-z-]*:iam::\d{12}:role/.+",
        },
        "RoleName": {"Type": "String", "Default": "ddbaudit-config-rule", "AllowedPattern": r"[\w+=,.@-]{1,64}"},
    }
    role = _taken_by({"AWS": {"Ref": "FunctionRoleArn"}}, [*_reading(chosen), *_TELLING])
    role["Properties"]["RoleName"] = {"Ref": "RoleName"}
    return _template(
        "The role that the central function of ddbaudit takes in an account; it needs CAPABILITY_NAMED_IAM",
        parameters,
        {"Role": role},
        {"RoleArn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}},
    )


def organization(chosen: Chosen) -> _Template:
    """Return the template for an organisation with one central function: AWS::Config::OrganizationConfigRule.

    AWS lets one function be called from about sixty accounts (the size of its policy): for more see :func:`stack_set`.
    """
    parameters = (
        _PARAMETERS
        | (_FREQUENCY if chosen.scheduled else {})
        | {
            "MemberRoleName": {"Type": "String", "Default": "ddbaudit-config-rule"},
            "MemberAccount": {
                "Type": "String",
                "Description": "A member account; add a resource like Permission for each further one",
                "AllowedPattern": r"\d{12}",
            },
        }
    )
    assume = {
        "Sid": "TakeTheRoleOfMembers",
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Resource": {"Fn::Sub": "arn:${AWS::Partition}:iam::*:role/${MemberRoleName}"},
    }
    resources = _function(_policies(chosen, assume)) | _permission({"Ref": "MemberAccount"})
    if chosen.narrow:
        resources["RuleOnChanges"] = _organization_rule(
            "-changes",
            chosen.on_changes(),
            {
                "OrganizationConfigRuleTriggerTypes": [
                    "ConfigurationItemChangeNotification",
                    "OversizedConfigurationItemChangeNotification",
                ],
                "ResourceTypesScope": [Table.cfn_type],
            },
        )
    if chosen.scheduled:
        resources["RuleOnSchedule"] = _organization_rule(
            "-scheduled",
            chosen.on_schedule(),
            {
                "OrganizationConfigRuleTriggerTypes": ["ScheduledNotification"],
                "MaximumExecutionFrequency": {"Ref": "Frequency"},
            },
        )
    return _template(
        "ddbaudit as AWS Config rules of an organisation, with one function for all accounts",
        parameters,
        resources,
        {"FunctionRoleArn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}},
    )


def _organization_rule(suffix: str, parameters: Mapping[str, Any], metadata: Mapping[str, Any]) -> _Template:
    # A dollar sign in a value would be a reference of its own.
    held = {name: value.replace("${", "${!") for name, value in parameters.items()}
    text = json.dumps(held | {"executionRoleName": "${MemberRoleName}"})
    return {
        "Type": "AWS::Config::OrganizationConfigRule",
        "DependsOn": "Permission",
        "Properties": {
            "OrganizationConfigRuleName": {"Fn::Sub": f"${{RuleName}}{suffix}"},
            "OrganizationCustomRuleMetadata": {
                "Description": "DynamoDB security practices, evaluated by ddbaudit",
                "LambdaFunctionArn": {"Fn::GetAtt": ["Function", "Arn"]},
                "InputParameters": {"Fn::Sub": text},
                **metadata,
            },
        },
    }


def conformance_pack(chosen: Chosen) -> _Template:
    """Return the template of a conformance pack: the rules alone, for a function that is there."""
    parameters = {
        "FunctionArn": {"Type": "String"},
        "RuleName": {"Type": "String", "Default": "ddbaudit"},
        "Frequency": {"Type": "String", "Default": "TwentyFour_Hours"},
    }
    rules = _rules(chosen, after=None)
    for rule in rules.values():
        rule["Properties"]["Source"]["SourceIdentifier"] = {"Ref": "FunctionArn"}
    return {"Parameters": parameters, "Resources": rules}


#: What `--kind` names.
KINDS = {
    "account": account,
    "stack-set": stack_set,
    "organization": organization,
    "member-role": member_role,
    "conformance-pack": conformance_pack,
}

_PARAMETERS: _Template = {
    "CodeBucket": {"Type": "String", "Description": "Bucket with the package (`ddbaudit config-rule package`)"},
    "CodeKey": {"Type": "String", "Description": "Key of the package in the bucket"},
    "RuleName": {
        "Type": "String",
        "Default": "ddbaudit",
        "MaxLength": 40,
        "AllowedPattern": "[A-Za-z0-9_-]+",
        "Description": "Name of the function; the names of the rules begin with it",
    },
    "Runtime": {
        "Type": "String",
        "AllowedValues": ["python3.11", "python3.12", "python3.13", "python3.14"],
        "Description": "What the package was made for; `ddbaudit config-rule package` says so",
    },
    "Architecture": {
        "Type": "String",
        "AllowedValues": ["x86_64", "arm64"],
        "Description": "As Runtime",
    },
    "LogRetentionDays": {"Type": "Number", "Default": 90, "Description": "Days that logs are kept"},
    "AlarmTopicArn": {
        "Type": "String",
        "Default": "",
        "Description": "Topic that hears of failed invocations: something could not be evaluated",
    },
}
_FREQUENCY: _Template = {
    "Frequency": {
        "Type": "String",
        "Default": "TwentyFour_Hours",
        "AllowedValues": ["One_Hour", "Three_Hours", "Six_Hours", "Twelve_Hours", "TwentyFour_Hours"],
        "Description": "How often everything is evaluated",
    }
}

#: PutEvaluations and GetResourceConfigHistory have no resource level (Service Authorization Reference, AWS Config), and
#: the id in a rule's ARN is not known before there is the rule.
_TELLING: tuple[_Template, ...] = (
    {"Sid": "TellConfig", "Effect": "Allow", "Action": ["config:PutEvaluations"], "Resource": "*"},
    {
        "Sid": "ReadResultsAndItems",
        "Effect": "Allow",
        "Action": ["config:GetComplianceDetailsByConfigRule", "config:GetResourceConfigHistory"],
        "Resource": "*",
    },
)


def _template(
    description: str, parameters: Mapping[str, Any], resources: Mapping[str, Any], outputs: Mapping[str, Any]
) -> _Template:
    made: _Template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": description,
        "Parameters": dict(parameters),
    }
    if "AlarmTopicArn" in parameters and "Function" in resources:
        made["Conditions"] = {"HasTopic": {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopicArn"}, ""]}]}}
    made["Resources"] = dict(resources)
    return made | ({"Outputs": dict(outputs)} if outputs else {})


def _document(statements: Iterable[Mapping[str, Any]]) -> _Template:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _reading(chosen: Chosen) -> list[_Template]:
    held: list[_Template] = permissions.policy(chosen.rules.values())["Statement"]
    return held


def _policies(chosen: Chosen, assume: _Template | None) -> list[_Template]:
    """Return what the function's role may: with a role to take in each account, it may do nothing in its own."""
    return _own([assume] if assume is not None else [*_TELLING, *_reading(chosen)])


def _own(more: Iterable[_Template]) -> list[_Template]:
    """Return what a function's role may: what any function needs, and more."""
    log = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/lambda/${RuleName}:*"
    statements: list[_Template] = [
        {
            "Sid": "Logs",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": {"Fn::Sub": log},
        },
        {
            "Sid": "DeadLetters",
            "Effect": "Allow",
            "Action": ["sqs:SendMessage"],
            "Resource": {"Fn::GetAtt": ["DeadLetters", "Arn"]},
        },
    ]
    return [{"PolicyName": "ddbaudit", "PolicyDocument": _document([*statements, *more])}]


def _function(policies: Sequence[_Template], *, handler: str = "auditor.config_rule.handler") -> _Template:
    return {
        "LogGroup": {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {
                "LogGroupName": {"Fn::Sub": "/aws/lambda/${RuleName}"},
                "RetentionInDays": {"Ref": "LogRetentionDays"},
            },
        },
        "DeadLetters": {
            "Type": "AWS::SQS::Queue",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {"SqsManagedSseEnabled": True, "MessageRetentionPeriod": 1_209_600},
        },
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": _document(
                    [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "lambda.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ]
                ),
                "Policies": list(policies),
            },
        },
        "Function": {
            "Type": "AWS::Lambda::Function",
            "DependsOn": "LogGroup",
            "Properties": {
                "FunctionName": {"Ref": "RuleName"},
                "Description": "Audits how DynamoDB is protected",
                "Runtime": {"Ref": "Runtime"},
                "Architectures": [{"Ref": "Architecture"}],
                "Handler": handler,
                "Code": {"S3Bucket": {"Ref": "CodeBucket"}, "S3Key": {"Ref": "CodeKey"}},
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "MemorySize": 512,
                "Timeout": 900,
                # A new rule is called for every table at once; AWS's rates are an account's, not an invocation's.
                "ReservedConcurrentExecutions": 5,
                "DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}},
            },
        },
        "Failures": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmDescription": "ddbaudit could not evaluate something: the results of AWS Config may be old",
                "Namespace": "AWS/Lambda",
                "MetricName": "Errors",
                "Dimensions": [{"Name": "FunctionName", "Value": {"Ref": "Function"}}],
                "Statistic": "Sum",
                "Period": 300,
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "notBreaching",
                "AlarmActions": {"Fn::If": ["HasTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]},
            },
        },
    }


def schedule(rules: Rules, event: Mapping[str, str]) -> _Template:
    """Return the template of the function that audits its account by the clock (:mod:`auditor.scheduled`).

    Args:
        rules: The rules that it will ask: its role may read what these need.
        event: What the schedule hands over.
    """
    bucket, objects = {"Fn::GetAtt": ["Bucket", "Arn"]}, {"Fn::Sub": "${Bucket.Arn}/ddbaudit/*"}
    deliver: list[_Template] = [
        {"Sid": "KeepReports", "Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject"], "Resource": objects},
        # Without it S3 answers "denied" for a report that is not there yet.
        {"Sid": "SeeThatThereIsNone", "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": bucket},
        {"Sid": "TellPeople", "Effect": "Allow", "Action": ["sns:Publish"], "Resource": {"Ref": "Topic"}},
        {
            "Sid": "EncryptMessages",
            "Effect": "Allow",
            "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
            "Resource": {"Fn::GetAtt": ["TopicKey", "Arn"]},
        },
    ]
    held: list[_Template] = permissions.policy(rules.values())["Statement"]
    made = _function(_own([*deliver, *held]), handler="auditor.scheduled.handler")
    function = made["Function"]["Properties"]
    function["MemorySize"], function["ReservedConcurrentExecutions"] = 1024, 1
    function["Environment"] = {
        "Variables": {
            "DDBAUDIT_BUCKET": {"Ref": "Bucket"},
            "DDBAUDIT_PREFIX": "ddbaudit",
            "DDBAUDIT_TOPIC": {"Ref": "Topic"},
        }
    }
    made["Failures"]["Properties"]["AlarmDescription"] = "The scheduled audit did not run to its end"
    made["Failures"]["Properties"]["AlarmActions"] = [{"Ref": "Topic"}]
    parameters = {name: one for name, one in _PARAMETERS.items() if name != "AlarmTopicArn"} | {
        "Schedule": {
            "Type": "String",
            "Default": "cron(17 3 * * ? *)",
            "Description": "When to audit, as EventBridge Scheduler writes it",
        },
        "KeepDays": {"Type": "Number", "Default": 400, "MinValue": 1, "Description": "Days that reports are kept"},
        "Email": {"Type": "String", "Default": "", "Description": "Who hears of failures; empty: subscribe later"},
    }
    template = _template(
        "ddbaudit by the clock: audits the account, keeps the reports in a bucket, tells a topic when the gate fails",
        parameters,
        made | _delivery() | _clock(event),
        {"Bucket": {"Value": {"Ref": "Bucket"}}, "Topic": {"Value": {"Ref": "Topic"}}},
    )
    return {
        **{name: value for name, value in template.items() if name not in ("Resources", "Outputs")},
        "Conditions": {"HasEmail": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Email"}, ""]}]}},
        "Resources": template["Resources"],
        "Outputs": template["Outputs"],
    }


def organisation_audit(rules: Rules, event: Mapping[str, str]) -> _Template:
    """Return the template of the state machine that audits an organisation (:mod:`auditor.org_audit`).

    It stands in the management account or in that of a delegated administrator of Organizations.

    Args:
        rules: The rules that will be asked. The functions' role may read what they need of its own account; in others
            that takes a role (:func:`audit_role`).
        event: What the schedule hands over.
    """
    template = schedule(rules, event)
    resources = template["Resources"]
    bucket, objects = {"Fn::GetAtt": ["Bucket", "Arn"]}, {"Fn::Sub": "${Bucket.Arn}/ddbaudit/*"}
    reading: list[_Template] = [
        {
            "Sid": "TakeTheRoleOfMembers",
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Resource": {"Fn::Sub": "arn:${AWS::Partition}:iam::*:role/${MemberRoleName}"},
        },
        {
            "Sid": "ReadAccountsAndPolicies",
            "Effect": "Allow",
            "Action": sorted({*permissions.ORGANISATION, *ORGANIZATION_FACTS}),
            "Resource": "*",
        },
    ]
    resources["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"] += reading
    function = resources["Function"]["Properties"]
    function |= {"Handler": "auditor.org_audit.handler", "Description": "One account and region of an audit"}
    function["Environment"]["Variables"] |= {
        "DDBAUDIT_ROLE": {"Ref": "MemberRoleName"},
        "DDBAUDIT_EXTERNAL_ID": {"Ref": "ExternalId"},
    }
    function["ReservedConcurrentExecutions"] = {"Ref": "Concurrency"}
    merging = copy.deepcopy(function)
    merging |= {
        "FunctionName": {"Fn::Sub": "${RuleName}-merge"},
        "Description": "Puts an audit's parts together and writes the reports",
        "MemorySize": {"Ref": "MergeMemory"},
        "EphemeralStorage": {"Size": 4096},
        "ReservedConcurrentExecutions": 1,
    }
    resources["MergeLogGroup"] = copy.deepcopy(resources["LogGroup"])
    resources["MergeLogGroup"]["Properties"]["LogGroupName"] = {"Fn::Sub": "/aws/lambda/${RuleName}-merge"}
    resources["Merge"] = {"Type": "AWS::Lambda::Function", "DependsOn": "MergeLogGroup", "Properties": merging}
    log = resources["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]
    log["Resource"] = [
        {"Fn::Sub": f"arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:/aws/lambda/{name}:*"}
        for name in ("${RuleName}", "${RuleName}-merge")
    ]
    del resources["NoRetry"]  # the state machine calls, and tries again itself
    resources["StateMachineRole"] = _taken_by(
        "states.amazonaws.com",
        [
            {
                "Effect": "Allow",
                "Action": ["lambda:InvokeFunction"],
                "Resource": [{"Fn::GetAtt": [name, "Arn"]} for name in ("Function", "Merge")],
            },
            {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": objects},
            {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": bucket},
            {
                "Effect": "Allow",
                "Action": ["states:StartExecution", "states:DescribeExecution", "states:StopExecution"],
                "Resource": [
                    {"Fn::Sub": f"arn:${{AWS::Partition}}:states:${{AWS::Region}}:${{AWS::AccountId}}:{kind}:{name}"}
                    for kind, name in (("stateMachine", "${RuleName}"), ("execution", "${RuleName}/*"))
                ],
            },
        ],
    )
    resources["StateMachine"] = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineName": {"Ref": "RuleName"},
            "RoleArn": {"Fn::GetAtt": ["StateMachineRole", "Arn"]},
            "DefinitionString": {"Fn::Sub": json.dumps(state_machine(), indent=1)},
        },
    }
    resources["Failures"]["Properties"] |= {
        "AlarmDescription": "The audit of the organisation did not run to its end",
        "Namespace": "AWS/States",
        "MetricName": "ExecutionsFailed",
        "Dimensions": [{"Name": "StateMachineArn", "Value": {"Ref": "StateMachine"}}],
    }
    starting = resources["ScheduleRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]
    starting |= {"Action": ["states:StartExecution"], "Resource": {"Ref": "StateMachine"}}
    resources["ScheduledAudit"]["Properties"]["Target"]["Arn"] = {"Ref": "StateMachine"}
    template["Description"] = "ddbaudit for an organisation: a state machine collects accounts and regions, and audits"
    template["Parameters"] |= {
        "MemberRoleName": {
            "Type": "String",
            "Default": "ddbaudit",
            "AllowedPattern": r"[\w+=,.@/-]{1,512}",
            "Description": "Name of the role in each account, with its path (see --kind role)",
        },
        "ExternalId": {"Type": "String", "Default": "", "Description": "What the roles want to hear, if anything"},
        "Concurrency": {
            "Type": "Number",
            "Default": 40,
            "MinValue": 1,
            "Description": "Accounts and regions at a time: of the Lambda concurrency of the account",
        },
        "MergeMemory": {
            "Type": "Number",
            "Default": 3008,
            "MinValue": 512,
            "MaxValue": 10_240,
            "Description": "MB for the audit itself: some 100, and 75 for every thousand tables",
        },
    }
    template["Outputs"] |= {
        "StateMachine": {"Value": {"Ref": "StateMachine"}},
        "FunctionRoleArn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}},
    }
    return template


#: What the organisation's own facts take.
ORGANIZATION_FACTS = ("organizations:DescribeOrganization", "organizations:ListRoots", "organizations:DescribePolicy")


def state_machine(
    function: str = "${Function.Arn}",
    merging: str = "${Merge.Arn}",
    bucket: str = "${Bucket}",
    prefix: str = "ddbaudit",
) -> _Template:
    """Return the definition of the state machine, in Amazon States Language.

    Args:
        function: ARN of the function that plans and collects.
        merging: ARN of the function that audits.
        bucket: Name of the bucket.
        prefix: The beginning of keys in it.
    """
    invoke = "arn:${AWS::Partition}:states:::lambda:invoke"
    storage = "arn:${AWS::Partition}:states:::s3"
    # ShareFailed is raised for what may pass; what Lambda itself may answer is in the AWS Step Functions guide.
    trying: list[_Template] = [
        {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 15, "MaxAttempts": 3, "BackoffRate": 3.0}
    ]

    def step(name: str, payload: Mapping[str, Any], called: str = function) -> _Template:
        return {
            "Type": "Task",
            "Resource": invoke,
            "Parameters": {"FunctionName": called, "Payload": {"step": name, **payload}},
            "ResultSelector": {"state.$": "$.Payload"},
            "OutputPath": "$.state",
            "Retry": trying,
        }

    handed_on = {"run.$": "$.run", "asked.$": "$.asked", "turn.$": "$.turn"}
    item = {"run.$": "$.run", "asked.$": "$.asked", "item.$": "$.item"}
    return {
        "Comment": "Audits DynamoDB in every account and region of an organisation",
        "StartAt": "Plan",
        "States": {
            "Plan": step("plan", {"run.$": "$$.Execution.Name", "asked.$": "$"}) | {"Next": "Collect"},
            "Collect": {
                "Type": "Map",
                "Comment": "One account, or one region of it, at a time each; what fails to the end is unknown",
                "ItemReader": {
                    "Resource": f"{storage}:getObject",
                    "ReaderConfig": {"InputType": "JSON"},
                    "Parameters": {"Bucket": bucket, "Key.$": "$.items"},
                },
                "ItemSelector": {"run.$": "$.run", "asked.$": "$.asked", "item.$": "$$.Map.Item.Value"},
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    "StartAt": "Work",
                    "States": {
                        "Work": step("work", item)
                        | {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Lost"}], "End": True},
                        "Lost": {"Type": "Pass", "Result": {"lost": True}, "End": True},
                    },
                },
                "MaxConcurrency": 40,
                "ToleratedFailurePercentage": 100,
                "ResultWriter": {
                    "Resource": f"{storage}:putObject",
                    "Parameters": {
                        "Bucket": bucket,
                        "Prefix.$": f"States.Format('{prefix}/runs/{{}}/results', $$.Execution.Name)",
                    },
                },
                "ResultPath": None,
                "Next": "Follow",
            },
            "Follow": step("follow", handed_on) | {"Next": "IsAnythingLeft"},
            "IsAnythingLeft": {
                "Type": "Choice",
                "Comment": "What accounts named of each other is asked of its owner",
                "Choices": [{"Variable": "$.count", "NumericGreaterThan": 0, "Next": "Collect"}],
                "Default": "Merge",
            },
            "Merge": step("merge", handed_on, merging) | {"End": True},
        },
    }


def audit_role(rules: Rules) -> _Template:
    """Return the template of the role that the audit of an organisation takes in each account."""
    parameters = {
        "FunctionRoleArn": {
            "Type": "String",
            "Description": "ARN of the role of the functions (output FunctionRoleArn of the organisation's stack)",
            "AllowedPattern": r"arn:aws[a-z-]*:iam::\d{12}:role/.+",
        },
        "RoleName": {"Type": "String", "Default": "ddbaudit", "AllowedPattern": r"[\w+=,.@-]{1,64}"},
        "ExternalId": {"Type": "String", "Default": "", "Description": "What the role wants to hear, if anything"},
    }
    role = _taken_by({"AWS": {"Ref": "FunctionRoleArn"}}, permissions.policy(rules.values())["Statement"])
    role["Properties"]["RoleName"] = {"Ref": "RoleName"}
    statement = role["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
    wanted = {"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}}
    statement["Condition"] = {"Fn::If": ["WantsExternalId", wanted, {"Ref": "AWS::NoValue"}]}
    template = _template(
        "The role that ddbaudit's audit of an organisation takes in an account; it needs CAPABILITY_NAMED_IAM",
        parameters,
        {"Role": role},
        {"RoleArn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}},
    )
    condition = {"WantsExternalId": {"Fn::Not": [{"Fn::Equals": [{"Ref": "ExternalId"}, ""]}]}}
    return {
        **{name: value for name, value in template.items() if name not in ("Resources", "Outputs")},
        "Conditions": condition,
        "Resources": template["Resources"],
        "Outputs": template["Outputs"],
    }


def _taken_by(principal: str | Mapping[str, Any], statements: Iterable[Mapping[str, Any]]) -> _Template:
    """Return a role that a service, or another principal, takes."""
    trusted: Mapping[str, Any] = {"Service": principal} if isinstance(principal, str) else principal
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": _document(
                [{"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"}]
            ),
            "Policies": [{"PolicyName": "ddbaudit", "PolicyDocument": _document(statements)}],
        },
    }


def _delivery() -> _Template:
    """Return the bucket and the topic: encrypted, versioned, private, TLS only."""
    account_root = {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}
    return {
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [
                        {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True}
                    ]
                },
                "VersioningConfiguration": {"Status": "Enabled"},
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": True,
                    "BlockPublicPolicy": True,
                    "IgnorePublicAcls": True,
                    "RestrictPublicBuckets": True,
                },
                "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                "LifecycleConfiguration": {
                    "Rules": [
                        {
                            "Id": "old-reports",
                            "Status": "Enabled",
                            "ExpirationInDays": {"Ref": "KeepDays"},
                            "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                        }
                    ]
                },
            },
        },
        "BucketPolicy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {
                "Bucket": {"Ref": "Bucket"},
                "PolicyDocument": _document(
                    [
                        {
                            "Sid": "TlsOnly",
                            "Effect": "Deny",
                            "Principal": "*",
                            "Action": "s3:*",
                            "Resource": [{"Fn::GetAtt": ["Bucket", "Arn"]}, {"Fn::Sub": "${Bucket.Arn}/*"}],
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        }
                    ]
                ),
            },
        },
        "TopicKey": {
            "Type": "AWS::KMS::Key",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {
                "Description": "Messages of ddbaudit",
                "EnableKeyRotation": True,
                "KeyPolicy": _document(
                    [
                        {
                            "Sid": "Account",
                            "Effect": "Allow",
                            "Principal": {"AWS": account_root},
                            "Action": "kms:*",
                            "Resource": "*",
                        },
                        {
                            "Sid": "AlarmsMayEncrypt",
                            "Effect": "Allow",
                            "Principal": {"Service": "cloudwatch.amazonaws.com"},
                            "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
                            "Resource": "*",
                            "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
                        },
                    ]
                ),
            },
        },
        "Topic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {"KmsMasterKeyId": {"Fn::GetAtt": ["TopicKey", "Arn"]}},
        },
        "Subscription": {
            "Type": "AWS::SNS::Subscription",
            "Condition": "HasEmail",
            "Properties": {"TopicArn": {"Ref": "Topic"}, "Protocol": "email", "Endpoint": {"Ref": "Email"}},
        },
    }


def _clock(event: Mapping[str, str]) -> _Template:
    """Return the schedule and its role."""
    return {
        "ScheduleRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": _document(
                    [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "scheduler.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                            "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
                        }
                    ]
                ),
                "Policies": [
                    {
                        "PolicyName": "invoke",
                        "PolicyDocument": _document(
                            [
                                {
                                    "Effect": "Allow",
                                    "Action": ["lambda:InvokeFunction"],
                                    "Resource": {"Fn::GetAtt": ["Function", "Arn"]},
                                },
                                {
                                    "Effect": "Allow",
                                    "Action": ["sqs:SendMessage"],
                                    "Resource": {"Fn::GetAtt": ["DeadLetters", "Arn"]},
                                },
                            ]
                        ),
                    }
                ],
            },
        },
        "ScheduledAudit": {
            "Type": "AWS::Scheduler::Schedule",
            "Properties": {
                "Description": "Audits how DynamoDB is protected",
                "ScheduleExpression": {"Ref": "Schedule"},
                "ScheduleExpressionTimezone": "UTC",
                "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
                "Target": {
                    "Arn": {"Fn::GetAtt": ["Function", "Arn"]},
                    "RoleArn": {"Fn::GetAtt": ["ScheduleRole", "Arn"]},
                    "Input": json.dumps(dict(event), sort_keys=True),
                    "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}},
                    "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600},
                },
            },
        },
        # An audit that has failed is not begun anew at once: the alarm tells of it.
        "NoRetry": {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": {
                "FunctionName": {"Ref": "Function"},
                "Qualifier": "$LATEST",
                "MaximumRetryAttempts": 0,
                "MaximumEventAgeInSeconds": 3600,
            },
        },
    }


def _permission(source: Any) -> _Template:
    return {
        "Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "FunctionName": {"Fn::GetAtt": ["Function", "Arn"]},
                "Action": "lambda:InvokeFunction",
                "Principal": "config.amazonaws.com",
                "SourceAccount": source,
            },
        }
    }


def _rules(chosen: Chosen, *, after: str | None) -> _Template:
    """Return the rules: changes of tables ask what is cheap to ask, the clock asks the rest."""
    made: _Template = {}
    clock = {
        "EventSource": "aws.config",
        "MessageType": "ScheduledNotification",
        "MaximumExecutionFrequency": {"Ref": "Frequency"},
    }
    if chosen.narrow:
        changes = [
            {"EventSource": "aws.config", "MessageType": "ConfigurationItemChangeNotification"},
            {"EventSource": "aws.config", "MessageType": "OversizedConfigurationItemChangeNotification"},
        ]
        made["RuleOnChanges"] = _rule("-changes", chosen.on_changes(), [*changes, clock], [Table.cfn_type], after)
    if chosen.scheduled:
        made["RuleOnSchedule"] = _rule("-scheduled", chosen.on_schedule(), [clock], [], after)
    return made


def _rule(
    suffix: str, parameters: Mapping[str, str], triggers: list[_Template], types: list[str], after: str | None
) -> _Template:
    scope = {"Scope": {"ComplianceResourceTypes": types}} if types else {}
    return {
        "Type": "AWS::Config::ConfigRule",
        **({"DependsOn": after} if after else {}),
        "Properties": {
            "ConfigRuleName": {"Fn::Sub": f"${{RuleName}}{suffix}"},
            "Description": "DynamoDB security practices, evaluated by ddbaudit",
            **scope,
            **({"InputParameters": dict(parameters)} if parameters else {}),
            "Source": {
                "Owner": "CUSTOM_LAMBDA",
                "SourceIdentifier": {"Fn::GetAtt": ["Function", "Arn"]},
                "SourceDetails": triggers,
            },
        },
    }


class _Dumper(yaml.SafeDumper):
    """YAML without aliases, which CloudFormation does not take."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        return True


def as_yaml(template: Mapping[str, Any]) -> str:
    """Return a template as YAML."""
    return yaml.dump(dict(template), Dumper=_Dumper, sort_keys=False, width=120)
