//! What `member` writes to telephones: the code to sign in with, and an invitation.

use crate::secrets::Code;
use kernel::{Language, Phone, Role};

/// The beginning of the id of every message with a code.
pub(crate) const CODE: &str = "code:";

/// The beginning of the id of every invitation.
const INVITATION: &str = "invitation:";

/// A message to a telephone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Names it for ever.
    pub id: String,
    /// Whom it is for.
    pub phone: Phone,
    /// In which language.
    pub language: Language,
    /// Which approved text it is.
    pub template: &'static str,
    /// What stands in the blanks of that text, by name.
    pub variables: Vec<(String, String)>,
    /// What the person reads.
    pub body: String,
}

/// The message with a code; `name` is like no other's.
pub(crate) fn code(name: &str, phone: &Phone, language: Language, code: &Code, minutes: i64) -> Outgoing {
    let digits = code.as_str();
    let body = match language {
        Language::Ko => format!(
            "[수강] 인증번호는 {digits}입니다. {minutes}분 안에 입력해 주세요.\n타인에게 알려 주지 마세요. 요청하지 않으셨다면 이 메시지를 무시하셔도 됩니다."
        ),
        Language::En => format!(
            "[Sugang] Your code is {digits}. It is valid for {minutes} minutes.\nDo not tell it to anybody. If you did not ask for it, ignore this message."
        ),
    };
    Outgoing {
        id: format!("{CODE}{name}"),
        phone: phone.clone(),
        language,
        template: "SignInCode",
        variables: variables(&[("code", digits), ("minutes", &minutes.to_string())]),
        body,
    }
}

/// The message that somebody is invited; `name` is like no other's.
pub(crate) fn invitation(name: &str, phone: &Phone, language: Language, role: Role) -> Outgoing {
    let (as_what, body) = match language {
        Language::Ko => {
            let role = match role {
                Role::Customer => "회원",
                Role::Manager => "교육 관리자",
                Role::Operator => "운영자",
            };
            let invited =
                format!("[수강] {role}로 초대되었습니다. 이 번호로 로그인하시면 권한이 부여됩니다.");
            (role, invited.replace("회원로", "회원으로"))
        }
        Language::En => {
            let role = match role {
                Role::Customer => "member",
                Role::Manager => "course manager",
                Role::Operator => "operator",
            };
            (role, format!("[Sugang] You are invited as {role}. Sign in with this number to be it."))
        }
    };
    Outgoing {
        id: format!("{INVITATION}{name}"),
        phone: phone.clone(),
        language,
        template: "Invitation",
        variables: variables(&[("role", as_what)]),
        body,
    }
}

fn variables(blanks: &[(&str, &str)]) -> Vec<(String, String)> {
    blanks.iter().map(|(name, word)| ((*name).to_owned(), (*word).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_the_code_and_how_long_it_counts_in_either_language() {
        let (phone, digits) = (Phone::parse("010-1234-5678").unwrap(), Code::typed("012345").unwrap());
        for language in Language::ALL {
            let message = code("x", &phone, *language, &digits, 5);
            assert!(message.body.contains("012345") && message.body.contains('5'), "{}", message.body);
            assert_eq!((&*message.id, message.template), ("code:x", "SignInCode"));
            assert!(message.body.chars().count() <= 90 * 2, "two text messages at the most");
        }
    }

    #[test]
    fn an_invitation_says_what_for() {
        let phone = Phone::parse("010-1234-5678").unwrap();
        assert!(invitation("x", &phone, Language::Ko, Role::Manager).body.contains("교육 관리자로"));
        assert!(invitation("x", &phone, Language::Ko, Role::Customer).body.contains("회원으로"));
        assert!(invitation("x", &phone, Language::En, Role::Operator).body.contains("operator"));
    }
}
